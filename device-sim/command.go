package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/peterbourgon/ff/v3"
	"github.com/peterbourgon/ff/v3/ffcli"
	"github.com/peterbourgon/ff/v3/fftoml"

	"github.com/carillon-iot/carillon/device-sim/program"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a mistake in the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errSilent fails without a further word: what there is to say is said.
var errSilent = errors.New("failed")

// run is the program: it returns the exit status.
func run(ctx context.Context, args []string, std stdio) int {
	if code, ok := program.All().Child(ctx, args, std.out, std.err); ok {
		return code
	}
	help := new(string)
	root := rootCommand(std, help)
	err := root.Parse(args)
	if err == nil {
		err = root.Run(ctx)
	} else if !errors.Is(err, flag.ErrHelp) {
		err = usageError{err}
	}
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(std.out, *help)
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(std.err, "device-sim: %v\nTry device-sim --help.\n", err)
		return exitUsage
	case ctx.Err() != nil:
		fmt.Fprintln(std.err, "device-sim: interrupted")
	case !errors.Is(err, errSilent):
		fmt.Fprintf(std.err, "device-sim: %v\n", err)
	}
	return exitFailed
}

func rootCommand(std stdio, help *string) *ffcli.Command {
	root := &ffcli.Command{
		Name:       "device-sim",
		ShortUsage: "device-sim <command> [flags]",
		ShortHelp:  "Carillon's world on one machine.",
		LongHelp: `Starts a certificate authority, an MQTT broker with mutual TLS, a bridge, an
OpenID provider with CIBA, a settings API, two cars (blue, red) and the phones
of three people (Anna, Bela, Chidi) on the loopback interface. Nothing need be
configured, and nothing is left behind.

EXAMPLES
  device-sim world                     the blue car asks Anna, and you are her phone
  device-sim world --auto --json       the same without you, for scripts
  device-sim run bridge-kill           one scenario; exit status 0 if it passed
  device-sim run --all                 every scenario
  device-sim fleet                     fifty cars, and what a sign-in costs

Every flag of a command can be set as CARILLON_<COMMAND>_<FLAG> in the
environment, or in a TOML file named by --config. Exit status: 0 success,
1 failure, 2 wrong usage.`,
		FlagSet:     newFlagSet("device-sim"),
		Subcommands: []*ffcli.Command{worldCommand(std), runCommand(std), listCommand(std), fleetCommand(std)},
		Exec: func(_ context.Context, args []string) error {
			if len(args) > 0 {
				return usagef("no command is called %q; there are world, run, list and fleet", args[0])
			}
			return usagef("no command given; there are world, run, list and fleet")
		},
	}
	for _, c := range append(root.Subcommands, root) {
		c.UsageFunc = func(c *ffcli.Command) string {
			*help = ffcli.DefaultUsageFunc(c)
			return *help
		}
	}
	return root
}

// newFlagSet leaves it to run to report mistakes, once.
func newFlagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

// options are how each command finds its flags.
func options(command string) []ff.Option {
	return []ff.Option{
		ff.WithEnvVarPrefix("CARILLON_" + strings.ToUpper(command)),
		ff.WithConfigFileFlag("config"),
		ff.WithConfigFileParser(fftoml.Parser),
	}
}

// commonFlags are those of every command that opens a world.
func commonFlags(fs *flag.FlagSet, json *bool, keep *string) {
	fs.String("config", "", "read flags from this TOML `file`")
	fs.BoolVar(json, "json", false, "print one JSON object a line")
	fs.StringVar(keep, "keep", "", "keep certificates, database and logs in this empty `directory`")
}
