package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/device-sim/world"
)

// worldFlags are those of the command world.
type worldFlags struct {
	json, auto           bool
	device, person, keep string
	scope                string
}

func worldCommand(std stdio) *ffcli.Command {
	var f worldFlags
	fs := newFlagSet("world")
	commonFlags(fs, &f.json, &f.keep)
	fs.BoolVar(&f.auto, "auto", false, "approve by itself, sign out again, and end")
	fs.StringVar(&f.device, "device", "blue", "the `car` that asks: "+strings.Join(world.CarNames(), " or "))
	fs.StringVar(&f.person, "person", "anna", "the `person` who is asked: "+strings.Join(personNames(), ", "))
	fs.StringVar(&f.scope, "scope", "seat climate", "what for: `words` of "+strings.Join(scopeNames(), ", "))
	return &ffcli.Command{
		Name:       "world",
		ShortUsage: "device-sim world [--auto] [--device blue] [--person anna]",
		ShortHelp:  "Opens a world: a car asks, a phone rings, and you are the phone.",
		LongHelp: `Prints what happens as it happens: the milliseconds since the start and since the
line before, the bytes of MQTT that the car's radio has carried up and down, who,
and what. At the prompt you approve, deny or ignore what the phone shows; help
lists what else you can do. Without a terminal on standard input it does as with
--auto.

EXAMPLES
  device-sim world
  device-sim world --person bela --device red --scope "seat mirrors light"
  device-sim world --auto --json | tail -n 1`,
		FlagSet: fs,
		Options: options("world"),
		Exec: func(ctx context.Context, args []string) error {
			if err := f.check(args); err != nil {
				return err
			}
			return openWorld(ctx, std, f)
		},
	}
}

func personNames() []string {
	var names []string
	for _, p := range provider.SamplePeople() {
		names = append(names, strings.ToLower(p.Name))
	}
	return names
}

func scopeNames() []string {
	var names []string
	for _, s := range provider.SampleScopes() {
		names = append(names, s.Name)
	}
	return names
}

func (f *worldFlags) check(args []string) error {
	f.device, f.person = strings.ToLower(f.device), strings.ToLower(f.person)
	switch {
	case len(args) > 0:
		return usagef("world takes no arguments, %q is one", args[0])
	case !slices.Contains(world.CarNames(), f.device):
		return usagef("--device is %q, want one of %s", f.device, strings.Join(world.CarNames(), ", "))
	case !slices.Contains(personNames(), f.person):
		return usagef("--person is %q, want one of %s", f.person, strings.Join(personNames(), ", "))
	}
	return checkScope(f.scope)
}

func checkScope(scope string) error {
	words := strings.Fields(scope)
	if len(words) == 0 {
		return usagef("--scope is empty, want words of %s", strings.Join(scopeNames(), ", "))
	}
	for _, w := range words {
		if !slices.Contains(scopeNames(), w) {
			return usagef("--scope holds %q, want words of %s", w, strings.Join(scopeNames(), ", "))
		}
	}
	return nil
}

func openWorld(ctx context.Context, std stdio, f worldFlags) (err error) {
	if !f.auto && !std.person {
		fmt.Fprintln(std.err, "device-sim: standard input is no terminal, so nobody can be the phone: it approves by itself, as with --auto")
		f.auto = true
	}
	p := newPrinter(std, f.json)
	asked := make(chan struct{}, 1)
	p.note("One world on this machine: every part is real, everything is on loopback.\n")
	p.heading()
	w, err := world.Start(ctx, world.Config{Dir: f.keep, Observe: func(e world.Event) {
		p.event(e)
		if e.What == "shows" {
			select {
			case asked <- struct{}{}:
			default:
			}
		}
	}})
	if err != nil {
		return err
	}
	defer func() {
		if e := w.Close(); err == nil {
			err = e
		}
	}()
	v := &visit{flags: f, std: std, world: w, out: p, asked: asked, car: w.Car(f.device)}
	if f.auto {
		return v.auto(ctx)
	}
	return v.play(ctx)
}
