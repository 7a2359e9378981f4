package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3"
	"github.com/peterbourgon/ff/v3/ffcli"
	"github.com/peterbourgon/ff/v3/fftoml"
)

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is a mistake in what was typed, as opposed to a failure.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// run runs the command and returns its exit status: 0 for success, 1 for a
// failure, 2 for wrong usage.
func run(ctx context.Context, args []string, std streams) int {
	c := &cli{streams: std, flags: make(map[string]bool)}
	root := newRoot(c)
	for _, sub := range root.Subcommands {
		if len(args) > 0 && sub.Name == args[0] {
			args = append([]string{sub.Name}, flagsFirst(sub.FlagSet, args[1:])...)
		}
	}
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
		return 0
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(std.out, c.usage)
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(std.err, "carillon-pki: %v\nSee carillon-pki --help, or --help after a command.\n", err)
		return 2
	default:
		fmt.Fprintf(std.err, "carillon-pki: %v\n", err)
		return 1
	}
}

// cli makes the commands.
type cli struct {
	streams
	flags map[string]bool // of all commands, which may share one configuration file
	usage string          // what package flag would have printed: for --help to standard output, for mistakes not at all
}

// flagSet returns a flag set that prints nothing by itself.
func flagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

func (c *cli) keepUsage(cmd *ffcli.Command) string {
	c.usage = ffcli.DefaultUsageFunc(cmd)
	return c.usage
}

// command is one command: its words, its flags, and what it does with the
// arguments that are no flags.
type command struct {
	name, args, short, help string
	flags                   func(fs *flag.FlagSet)
	exec                    func(ctx context.Context, args []string) error
}

func (c *cli) command(cmd command) *ffcli.Command {
	fs := flagSet(cmd.name)
	cmd.flags(fs)
	fs.String("config", "", "TOML `file` with the flags that are not given")
	fs.VisitAll(func(f *flag.Flag) { c.flags[f.Name] = true })
	return &ffcli.Command{
		Name:       cmd.name,
		ShortUsage: strings.TrimSpace("carillon-pki " + cmd.name + " [flags] " + cmd.args),
		ShortHelp:  cmd.short,
		LongHelp:   cmd.help,
		FlagSet:    fs,
		UsageFunc:  c.keepUsage,
		Options: []ff.Option{
			ff.WithEnvVarPrefix("CARILLON_PKI"),
			ff.WithConfigFileFlag("config"),
			ff.WithConfigFileParser(c.parseConfig),
			ff.WithIgnoreUndefined(true), // the flag of another command; see parseConfig
		},
		Exec: cmd.exec,
	}
}

// parseConfig refuses a key that is the flag of no command, so that a misspelled
// line is not ignored.
func (c *cli) parseConfig(r io.Reader, set func(name, value string) error) error {
	return fftoml.Parser(r, func(name, value string) error {
		if !c.flags[name] {
			return fmt.Errorf("%q is not a setting of carillon-pki", name)
		}
		return set(name, value)
	})
}

// flagsFirst moves the flags of a command in front of its arguments, where
// package flag looks for them.
func flagsFirst(fs *flag.FlagSet, args []string) []string {
	var flags, rest []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			rest = append(rest, args...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			rest = append(rest, arg)
			continue
		}
		flags = append(flags, arg)
		if takesNext(fs, strings.TrimLeft(arg, "-")) && len(args) > 0 {
			flags = append(flags, args[0])
			args = args[1:]
		}
	}
	return append(append(flags, "--"), rest...)
}

// takesNext reports whether the value of a flag is the next argument.
func takesNext(fs *flag.FlagSet, name string) bool {
	f := fs.Lookup(name) // not found if it is name=value
	if f == nil {
		return false
	}
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return !ok || !b.IsBoolFlag()
}

// durationVar defines a flag whose error says what was found: that of package
// flag does not, when the value comes from the environment or from a file.
func durationVar(fs *flag.FlagSet, to *time.Duration, name string, value time.Duration, usage string) {
	*to = value
	fs.Func(name, fmt.Sprintf("%s (default %v)", usage, value), func(text string) error {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 90m or 48h", text)
		}
		*to = d
		return nil
	})
}

// json prints v for scripts.
func (c *cli) json(v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func newRoot(c *cli) *ffcli.Command {
	return &ffcli.Command{
		Name:       "carillon-pki",
		ShortUsage: "carillon-pki COMMAND [flags]",
		FlagSet:    flagSet("carillon-pki"),
		UsageFunc:  c.keepUsage,
		LongHelp: `A certificate authority for vehicles, bridges, brokers and servers, in one
directory. It makes the authority, serves it, and invites holders with one-time
tokens. The same program runs where a certificate is wanted.

EXAMPLE
  Where the authority is:
    carillon-pki init --dir pki --url https://pki.example.com:9000
    carillon-pki serve --dir pki &
    carillon-pki token --dir pki device > token       a new device, within the hour
    carillon-pki token --dir pki broker mq --names mq.example.com

  On the device, with that token and nothing else:
    carillon-pki enroll --token-file token --cert device.crt --key device.key

  When a car has been stolen, whether the authority is running or not:
    carillon-pki list --dir pki
    carillon-pki revoke --dir pki device x7q2mplk4wtzn3ua --note "police report 4711"

SETTINGS
  Each flag can also be set in the environment, --password-file as
  CARILLON_PKI_PASSWORD_FILE, and in a TOML file named by --config, as
  password-file = "...". A flag on the command line wins over the environment,
  and that over the file.

  Exit status: 0 for success, 1 for a failure, 2 for wrong usage.`,
		Subcommands: []*ffcli.Command{
			c.initCommand(), c.serveCommand(), c.tokenCommand(), c.rootCommand(),
			c.listCommand(), c.revokeCommand(), c.reinstateCommand(),
			c.enrollCommand(), c.requestCommand(), c.renewCommand(), c.versionCommand(),
		},
	}
}
