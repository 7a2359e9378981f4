package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/carillon-iot/carillon/device-sim/fleet"
)

const fleetHelp = `Enrols devices, connects each to a broker over mutual TLS, and has them sign in at
a rate that waits for nobody. Broker, bridges and OpenID provider are processes of
their own: a kill is a kill -9, and what each costs is told apart. Every request is
followed to its end. The exit status is 1 if one was lost, or if a phone rang twice
for one request.

By itself it is small: 50 devices, each of which signs in once within ten seconds.

EXAMPLES
  device-sim fleet
  device-sim fleet --devices 500 --rate 50 --duration 20s --approve-after exp:5s --deny 0.05
  device-sim fleet --devices 2000 --rate 200 --kill bridge=2s,broker=4s,provider=6s --html load.html
  device-sim fleet --devices 10000 --rate 500 --duration 20s --json | tail -n 1

HOW LONG PEOPLE THINK (--approve-after)
  5s                  everybody so long
  uniform:5s-60s      any time between
  exp:20s             so long on average: most are quick, some are slow
  lognormal:12s,0.7   this median and spread, as people react

WHO IS KILLED, AND WHEN AFTER THE FIRST SIGN-IN (--kill)
  bridge=5s,bridge2=7s,bridges=20s,broker=9s,provider=11s,provider=30s`

func fleetCommand(std stdio) *ffcli.Command {
	var f fleetFlags
	fs := newFlagSet("fleet")
	f.define(fs)
	return &ffcli.Command{
		Name:       "fleet",
		ShortUsage: "device-sim fleet [--devices N] [--rate R] [--duration D] [--kill bridge=5s,broker=9s]",
		ShortHelp:  "Puts a load of many devices on all parts, and kills parts meanwhile.",
		LongHelp:   fleetHelp,
		FlagSet:    fs,
		Options:    options("fleet"),
		Exec: func(ctx context.Context, args []string) error {
			if len(args) > 0 {
				return usagef("fleet takes no arguments, %q is one", args[0])
			}
			cfg, err := f.config()
			if err != nil {
				return usageError{err}
			}
			return runFleet(ctx, std, f, cfg)
		},
	}
}

// runFleet runs a load and says what it has shown, of one that was interrupted
// too.
func runFleet(ctx context.Context, std stdio, f fleetFlags, cfg fleet.Config) (err error) {
	var page *os.File // opened before, because a load takes long
	if f.html != "" {
		if page, err = os.Create(f.html); err != nil {
			return fmt.Errorf("--html: %w", err)
		}
		defer func() { err = errors.Join(err, page.Close()) }()
	}
	shown := newFleetPrinter(std, f.json)
	cfg.Happened, cfg.Progress = shown.happened, shown.progress
	r, err := fleet.Run(ctx, cfg)
	shown.done()
	if err != nil && ctx.Err() == nil || len(r.SignIns) == 0 {
		return err
	}
	if e := shown.report(r); e != nil {
		return e
	}
	if page != nil {
		if e := r.WriteHTML(page); e != nil {
			return fmt.Errorf("--html: %w", e)
		}
	}
	if err == nil && r.Failed() {
		return errSilent
	}
	return err
}
