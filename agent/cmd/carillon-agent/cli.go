package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/peterbourgon/ff/v3"
	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/carillon-iot/carillon/agent/api"
)

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is a mistake in what was typed, as opposed to a failure.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errSaid is a failure about which everything has been printed.
var errSaid = errors.New("failed")

// run runs the command and returns its exit status: 0 for success, 1 for a
// failure, 2 for wrong usage.
func run(ctx context.Context, args []string, std streams) int {
	c := &cli{streams: std, flags: make(map[string]bool)}
	root := newRoot(c)
	err := root.Parse(args)
	var none ffcli.NoExecError
	switch {
	case err == nil:
		err = root.Run(ctx)
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(std.out, c.usage.String())
	case errors.As(err, &none) && root.FlagSet.NArg() > 0:
		err = usagef("there is no command %q", root.FlagSet.Arg(0))
	case errors.As(err, &none):
		root.FlagSet.Usage()
		fmt.Fprint(std.err, c.usage.String())
		return 2
	default:
		err = usageError{err}
	}
	var usage usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(std.err, "carillon-agent: %v\nSee carillon-agent --help, or --help after a command.\n", err)
		return 2
	case !errors.Is(err, errSaid):
		fmt.Fprintf(std.err, "carillon-agent: %v\n", err)
	}
	return 1
}

// cli makes the commands.
type cli struct {
	streams
	usage bytes.Buffer    // what flag sets say: asked for, it goes to out; after a mistake one line is better
	flags map[string]bool // of all commands, which may share one configuration file
}

// command is one command: its words, its flags, and what it does with the
// arguments that are no flags.
type command struct {
	name, args, short, help string
	flags                   func(fs *flag.FlagSet)
	exec                    func(ctx context.Context, args []string) error
}

func (c *cli) command(cmd command) *ffcli.Command {
	fs := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	fs.SetOutput(&c.usage)
	cmd.flags(fs)
	fs.String("config", "", "TOML `file` with the flags that are not given")
	fs.VisitAll(func(f *flag.Flag) { c.flags[f.Name] = true })
	usage := "carillon-agent " + cmd.name + " [flags]"
	if cmd.args != "" {
		usage += " " + cmd.args
	}
	return &ffcli.Command{
		Name: cmd.name, ShortUsage: usage, ShortHelp: cmd.short, LongHelp: cmd.help, FlagSet: fs,
		Options: []ff.Option{
			ff.WithEnvVarPrefix("CARILLON_AGENT"),
			ff.WithConfigFileFlag("config"),
			ff.WithConfigFileParser(c.parseConfig),
			ff.WithIgnoreUndefined(true), // the flag of another command; see parseConfig
		},
		Exec: func(ctx context.Context, args []string) error {
			if cmd.args == "" && len(args) > 0 {
				return usagef("%s takes no argument, found %q", cmd.name, args[0])
			}
			return cmd.exec(ctx, args)
		},
	}
}

// parseConfig refuses a key that is the flag of no command, so that a misspelled
// line is not ignored.
func (c *cli) parseConfig(r io.Reader, set func(name, value string) error) error {
	return parseTOML(r, func(name, value string) error {
		if !c.flags[name] {
			return fmt.Errorf("%q is not a setting of carillon-agent", name)
		}
		return set(name, value)
	})
}

// caller are the flags of a command that talks to the daemon.
type caller struct {
	socket string
	json   bool
}

const defaultSocket = "/run/carillon/agent.sock"

func (o *caller) define(fs *flag.FlagSet) {
	fs.StringVar(&o.socket, "socket", defaultSocket, "unix `socket` of the agent")
	fs.BoolVar(&o.json, "json", false, "print JSON, one object a line")
}

func (o *caller) client() *api.Client { return api.NewClient(o.socket) }

// choice is a flag of which exactly one is to be given with others.
type choice struct {
	name  string
	given bool
}

// oneOf refuses anything but one of the choices.
func oneOf(all ...choice) error {
	var names, found []string
	for _, f := range all {
		names = append(names, f.name)
		if f.given {
			found = append(found, f.name)
		}
	}
	switch len(found) {
	case 1:
		return nil
	case 0:
		return usagef("found none of %s, want one", strings.Join(names, ", "))
	}
	return usagef("found %s, want one of %s", strings.Join(found, " and "), strings.Join(names, ", "))
}

// line prints v as one line of JSON.
func (c *cli) line(v any) { _ = json.NewEncoder(c.out).Encode(v) }

func newRoot(c *cli) *ffcli.Command {
	fs := flag.NewFlagSet("carillon-agent", flag.ContinueOnError)
	fs.SetOutput(&c.usage)
	return &ffcli.Command{
		Name:       "carillon-agent",
		ShortUsage: "carillon-agent COMMAND [flags]",
		FlagSet:    fs,
		LongHelp: `Signs people in on a device without a keyboard: a car, a till, a kiosk. The person's
phone rings, they approve there, and the device receives a token for them.

EXAMPLE
  Once, with a one-time token from carillon-pki:
    carillon-agent enroll --dir /var/lib/carillon-agent --token-file token

  The daemon, normally under systemd:
    carillon-agent run --dir /var/lib/carillon-agent --broker mq.example.com:8883 \
      --ca-url https://pki.example.com:9000 --settings-url https://settings.example.com/v1/settings

  Anna's phone rings:
    carillon-agent sign-in --scope "seat climate" --login-hint anna@example.com
    carillon-agent sign-in --scope "seat climate" --person Anna         the next time
    carillon-agent sign-out --all

SETTINGS
  Each flag can also be set in the environment, --settings-url as
  CARILLON_AGENT_SETTINGS_URL, and in a TOML file named by --config, as
  settings-url = "...". A flag on the command line wins over the environment,
  and that over the file.

  Exit status: 0 for success (of sign-in: somebody is signed in), 1 for a
  failure, 2 for wrong usage.`,
		Subcommands: []*ffcli.Command{
			c.runCommand(), c.enrollCommand(), c.signInCommand(), c.cancelCommand(),
			c.signOutCommand(), c.statusCommand(), c.versionCommand(),
		},
	}
}
