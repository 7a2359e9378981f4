package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/carillon-iot/carillon/device-sim/scenario"
	"github.com/carillon-iot/carillon/device-sim/world"
)

// runFlags are those of the command run.
type runFlags struct {
	json, all bool
	seed      uint64
	keep      string
}

func runCommand(std stdio) *ffcli.Command {
	var f runFlags
	fs := newFlagSet("run")
	commonFlags(fs, &f.json, &f.keep)
	fs.BoolVar(&f.all, "all", false, "run every scenario, one after the other")
	fs.Uint64Var(&f.seed, "seed", 1, "decides what people leave to chance: how long they think")
	return &ffcli.Command{
		Name:       "run",
		ShortUsage: "device-sim run NAME|FILE.txt [--json] [--seed N]\n  device-sim run --all",
		ShortHelp:  "Plays a scenario in a world of its own, and says whether it passed.",
		LongHelp: `Prints each step, and what happens as it happens, with the milliseconds since
the start and since the line before, and the bytes of MQTT on the car's radio.
The exit status is 0 if the scenario passed, 1 if not. With --json, the last
object is the summary: scenario, outcome, bytes_up, bytes_down, pushes, ms.

EXAMPLES
  device-sim run lost-answer
  device-sim run --json clock-1970 | tail -n 1
  device-sim run my-own.txt            see docs/scenarios.md for the language`,
		FlagSet: fs,
		Options: options("run"),
		Exec: func(ctx context.Context, args []string) error {
			names, err := interleaved(fs, args)
			if err != nil {
				return err
			}
			return runScenarios(ctx, std, f, names)
		},
	}
}

// interleaved takes flags that stand behind a name, too.
func interleaved(fs *flag.FlagSet, args []string) (names []string, err error) {
	for len(args) > 0 {
		names = append(names, args[0])
		if err := fs.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
			return nil, err
		} else if err != nil {
			return nil, usageError{err}
		}
		args = fs.Args()
	}
	return names, nil
}

func runScenarios(ctx context.Context, std stdio, f runFlags, names []string) error {
	switch {
	case f.all && len(names) > 0:
		return usagef("--all runs every scenario: %q is one too many", names[0])
	case !f.all && len(names) != 1:
		return usagef("run takes one name, or --all; there are %s", strings.Join(scenario.Names(), ", "))
	case f.all && f.keep != "":
		return usagef("--keep takes one scenario, not --all")
	case f.all:
		names = scenario.Names()
	}
	var scenarios []scenario.Scenario
	for _, name := range names {
		sc, err := scenario.Find(name)
		if unknown := (*scenario.UnknownError)(nil); errors.As(err, &unknown) {
			return usageError{err}
		}
		if err != nil {
			return err
		}
		scenarios = append(scenarios, sc)
	}
	failed := 0
	for _, sc := range scenarios {
		passed, err := runOne(ctx, std, f, sc)
		if err != nil {
			return fmt.Errorf("%s: %w", sc.Name, err)
		}
		if !passed {
			failed++
		}
	}
	if failed > 0 {
		return errSilent
	}
	return nil
}

func runOne(ctx context.Context, std stdio, f runFlags, sc scenario.Scenario) (passed bool, err error) {
	p := newPrinter(std, f.json)
	opts := scenario.Options{Seed: f.seed, World: world.Config{Dir: f.keep}}
	if !f.all || f.json {
		opts.World.Observe, opts.Step = p.event, p.step
		p.note("%s: %s\n", sc.Name, sc.Title)
		p.heading()
	}
	r, err := scenario.Run(ctx, sc, opts)
	if err != nil {
		return false, err
	}
	if !f.all {
		p.note("")
	}
	p.summary(summaryOf(r))
	return r.Outcome == scenario.Passed, nil
}

func listCommand(std stdio) *ffcli.Command {
	fs := newFlagSet("list")
	words := fs.Bool("words", false, "list the sentences that scenarios are made of")
	return &ffcli.Command{
		Name:       "list",
		ShortUsage: "device-sim list [--words]",
		ShortHelp:  "Lists the scenarios, or the sentences that they are made of.",
		FlagSet:    fs,
		Exec: func(_ context.Context, args []string) error {
			if len(args) > 0 {
				return usagef("list takes no arguments, %q is one", args[0])
			}
			if *words {
				fmt.Fprint(std.out, scenario.Reference())
				return nil
			}
			return listScenarios(std)
		},
	}
}

func listScenarios(std stdio) error {
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	for _, name := range scenario.Names() {
		sc, err := scenario.Find(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\n", name, sc.Title)
	}
	return w.Flush()
}
