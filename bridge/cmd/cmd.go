// Package cmd is the carillon-bridge command: it turns flags, the environment
// and a configuration file into a bridge, and runs it.
//
// It is a package of its own so that other programs can run the command within
// themselves, or as a child of their own binary.
package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/peterbourgon/ff/v3"
	"github.com/peterbourgon/ff/v3/ffcli"
)

// Exit statuses.
const (
	exitOK = iota
	exitFailure
	exitUsage
)

// A usageError is a mistake in what was typed or configured, as opposed to a
// failure.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// Main runs carillon-bridge with args (without the program's name) and the
// environment environ ("NAME=value"), and returns the exit status: 0 for
// success, 1 for failure, 2 for wrong usage. It returns when ctx is done, after
// finishing what is on its way.
func Main(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	return (&command{stdout: stdout, stderr: stderr, environ: environ}).main(ctx, args)
}

func (c *command) main(ctx context.Context, args []string) int {
	root := c.root()
	err := root.Parse(args)
	var none ffcli.NoExecError
	switch {
	case err == nil:
		err = root.Run(ctx)
	case errors.Is(err, flag.ErrHelp):
	case errors.As(err, &none) && root.FlagSet.NArg() > 0:
		err = usagef("there is no command %q", root.FlagSet.Arg(0))
	case errors.As(err, &none):
		err = usagef("a command is missing")
	default:
		err = usageError{err}
	}
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(c.stdout, c.usage)
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(c.stderr, "carillon-bridge: %v\nSee carillon-bridge --help, or --help after a command.\n", err)
		return exitUsage
	default:
		fmt.Fprintf(c.stderr, "carillon-bridge: %v\n", err)
		return exitFailure
	}
}

// A command is one invocation.
type command struct {
	stdout, stderr io.Writer
	environ        []string
	reload         <-chan os.Signal // each has serve read files again; nil for none
	usage          string           // what package flag would have printed: for --help to standard output, for mistakes not at all
}

// flagSet returns flags that print nothing by themselves.
func flagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

func (c *command) keepUsage(cmd *ffcli.Command) string {
	c.usage = ffcli.DefaultUsageFunc(cmd)
	return c.usage
}

func (c *command) root() *ffcli.Command {
	fs := flagSet("carillon-bridge")
	return &ffcli.Command{
		Name:       "carillon-bridge",
		ShortUsage: "carillon-bridge COMMAND [flags]",
		FlagSet:    fs,
		UsageFunc:  c.keepUsage,
		LongHelp: `Signs people in to cars and other devices without a keyboard by ringing their
phone: it takes signed requests from an MQTT broker, asks an OpenID provider
with CIBA, and answers with a token that only the device can open.

EXAMPLE
  With a certificate from carillon-pki and a client at the provider:
    carillon-bridge serve \
      --broker mq.example.com:8883 \
      --cert bridge.crt --key bridge.key --roots carillon-root.crt \
      --issuer https://op.example.com --client-id carillon --client-secret-file secret \
      --db /var/lib/carillon/bridge.db

  The same in a file, tried before it is used:
    carillon-bridge check-config --config /etc/carillon/bridge.toml
    carillon-bridge provider check --config /etc/carillon/bridge.toml

SETTINGS
  Each flag can also be set in the environment, --client-id as
  CARILLON_BRIDGE_CLIENT_ID, and in a TOML file named by --config, as
  client-id = "..." or id = "..." under [client]. A flag on the command line wins
  over the environment, and that over the file. Some defaults are others with
  another --provider-profile; what is set wins over them, and check-config prints
  what has come of it. docs/bridge.md explains every one.

  Exit status: 0 for success, 1 for a failure, 2 for wrong usage.`,
		Subcommands: []*ffcli.Command{c.serveCommand(), c.checkCommand(), c.providerCommand(), c.migrateCommand(), c.backupCommand(),
			c.pseudonymCommand(), c.versionCommand()},
		Exec: func(context.Context, []string) error {
			if fs.NArg() > 0 {
				return usagef("there is no command %q", fs.Arg(0))
			}
			return usagef("a command is missing")
		},
	}
}

func (c *command) serveCommand() *ffcli.Command {
	s := new(settings)
	return c.with(s, &ffcli.Command{
		Name:      "serve",
		ShortHelp: "serve the devices of one broker with one provider",
		LongHelp: `Runs until it is interrupted (SIGINT, SIGTERM), then finishes what is on its way
within ten seconds; a second signal ends it at once. SIGHUP has it read the client's
secret or key and --seal-key again; certificates are read whenever they change.
It may be killed at any time: what matters is in --db, and the next start goes on
with it. One process at a time uses a database file; a PostgreSQL database serves
any number, which share the work.

Key files that do not exist are made, with mode 0600.`,
		Exec: func(ctx context.Context, args []string) error {
			if len(args) > 0 {
				return usagef("serve takes no arguments, found %q", args[0])
			}
			return s.serve(ctx, c.stderr, c.reload)
		},
	})
}

func (c *command) checkCommand() *ffcli.Command {
	s := new(settings)
	return c.with(s, &ffcli.Command{
		Name:      "check-config",
		ShortHelp: "say whether serve would accept these settings",
		LongHelp: `Reads the settings and every file they name, connects to nobody and changes
nothing.`,
		Exec: func(_ context.Context, args []string) error {
			if len(args) > 0 {
				return usagef("check-config takes no arguments, found %q", args[0])
			}
			return s.check(c.stdout)
		},
	})
}

// with adds the settings to a command as its flags.
func (c *command) with(s *settings, cmd *ffcli.Command) *ffcli.Command {
	fs := flagSet(cmd.Name)
	s.define(fs)
	s.environ = c.environ
	if cmd.Name != "serve" {
		fs.BoolVar(&s.json, "json", false, "print what is found as JSON")
	}
	fs.String("config", "", "TOML `file` with the settings that are given nowhere else")
	run := cmd.Exec
	cmd.FlagSet = fs
	cmd.UsageFunc = c.keepUsage
	cmd.ShortUsage = "carillon-bridge " + cmd.Name + " [flags]"
	cmd.Options = []ff.Option{ff.WithConfigFileFlag("config"), ff.WithConfigFileParser(parseTOML)}
	cmd.Exec = func(ctx context.Context, args []string) error { return run(ctx, args) }
	// The environment is read from environ and not by ff, which knows only the
	// process's own.
	if err := setFromEnvironment(fs, c.environ); err != nil {
		cmd.Exec = func(context.Context, []string) error { return err }
	}
	return cmd
}

func (c *command) versionCommand() *ffcli.Command {
	fs := flagSet("version")
	asJSON := fs.Bool("json", false, "print it as JSON")
	return &ffcli.Command{
		Name:       "version",
		ShortUsage: "carillon-bridge version [--json]",
		ShortHelp:  "print which build this is",
		FlagSet:    fs,
		UsageFunc:  c.keepUsage,
		Exec: func(context.Context, []string) error {
			if *asJSON {
				return json.NewEncoder(c.stdout).Encode(map[string]string{"version": version(), "go": runtime.Version()})
			}
			_, err := fmt.Fprintf(c.stdout, "carillon-bridge %s (%s)\n", version(), runtime.Version())
			return err
		},
	}
}
