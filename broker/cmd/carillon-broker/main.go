// Command carillon-broker is an MQTT 3.1.1 broker that knows devices and bridges
// by their certificates. See carillon-broker --help.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/peterbourgon/ff/v3/ffcli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// usageError is a mistake in what was typed or configured, as opposed to a
// failure.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run runs the command and returns its exit status: 0 for success, 1 for a
// failure, 2 for wrong usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	serve := serveCommand(stderr)
	root := rootCommand(serve, versionCommand(stdout))
	err := root.Parse(args)
	var none ffcli.NoExecError
	switch {
	case err == nil:
		err = root.Run(ctx)
	case len(args) == 0:
		fmt.Fprint(stderr, usage(root))
		return 2
	case errors.Is(err, flag.ErrHelp):
	case errors.As(err, &none):
		err = usagef("there is no command %q", args[0])
	default:
		err = usageError{err}
	}
	var wrong usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		asked := root
		for _, sub := range root.Subcommands {
			if sub.Name == args[0] {
				asked = sub
			}
		}
		fmt.Fprint(stdout, usage(asked))
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "carillon-broker: %v\nTry carillon-broker serve --help.\n", err)
		return 2
	default:
		fmt.Fprintf(stderr, "carillon-broker: %v\n", err)
		return 1
	}
}

func rootCommand(commands ...*ffcli.Command) *ffcli.Command {
	return &ffcli.Command{
		Name:       "carillon-broker",
		ShortUsage: "carillon-broker COMMAND [flags]",
		FlagSet:    newFlagSet("carillon-broker"),
		LongHelp: `An MQTT 3.1.1 broker for Carillon. Devices and bridges are who their
certificates say; a device may publish to its own up topic and subscribe to its
own down topic, a bridge the other way round for all devices, and nobody may do
anything else. Nothing is stored.

COMMANDS
  serve    run the broker (carillon-broker serve --help)
  version  print which build this is`,
		Subcommands: commands,
	}
}

// newFlagSet returns flags that print nothing by themselves: run says what was
// wrong, in one line.
func newFlagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}
