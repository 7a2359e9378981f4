package main

import (
	"context"
	"flag"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/carillon-iot/carillon/agent/api"
)

func (c *cli) cancelCommand() *ffcli.Command {
	var o caller
	return c.command(command{
		name: "cancel", args: "ID", short: "Withdraws a sign-in.",
		help: `Withdraws a sign-in, whose id sign-in and status print.

EXAMPLE
  carillon-agent cancel 0a1b2c3d4e5f6071`,
		flags: o.define,
		exec: func(ctx context.Context, args []string) error {
			if len(args) != 1 {
				return usagef("cancel takes one id, found %d", len(args))
			}
			s, err := o.client().Cancel(ctx, args[0])
			if err != nil {
				return err
			}
			c.showSignIn(o.json, s)
			return nil
		},
	})
}

func (c *cli) signOutCommand() *ffcli.Command {
	var o caller
	var req api.SignOutRequest
	return c.command(command{
		name: "sign-out", short: "Ends sessions, and brings back what was set before.",
		help: `Ends the session of somebody, of a seat, or every one. It takes effect at once, with
or without a connection; the bridge is told as soon as there is one.

EXAMPLE
  carillon-agent sign-out --all
  carillon-agent sign-out --person Anna`,
		flags: func(fs *flag.FlagSet) {
			o.define(fs)
			fs.StringVar(&req.Session, "session", "", "`id` of the session: that of its sign-in")
			fs.StringVar(&req.Person, "person", "", "number or name")
			fs.IntVar(&req.Seat, "seat", 0, "the session of a seat")
			fs.BoolVar(&req.All, "all", false, "every session")
		},
		exec: func(ctx context.Context, _ []string) error {
			if err := oneOf(choice{"--session", req.Session != ""}, choice{"--person", req.Person != ""},
				choice{"--seat", req.Seat != 0}, choice{"--all", req.All}); err != nil {
				return err
			}
			out, err := o.client().SignOut(ctx, req)
			if err != nil {
				return err
			}
			if o.json {
				c.line(out)
				return nil
			}
			fmt.Fprintf(c.out, "signed out: %d\n", len(out.Sessions))
			return nil
		},
	})
}

func (c *cli) statusCommand() *ffcli.Command {
	var o caller
	return c.command(command{
		name: "status", short: "Shows the connection, sign-ins, sessions and people.",
		help: `Shows what the agent knows, but for secrets.

EXAMPLE
  carillon-agent status --json`,
		flags: o.define,
		exec: func(ctx context.Context, _ []string) error {
			s, err := o.client().Status(ctx)
			if err != nil {
				return err
			}
			if o.json {
				c.line(s)
				return nil
			}
			c.showStatus(s)
			return nil
		},
	})
}

func (c *cli) showStatus(s api.Status) {
	link := "no connection to the broker"
	switch {
	case s.Connected && s.Introduced:
		link = "connected"
	case s.Connected:
		link = "connected to the broker, the bridge has not answered yet"
	}
	fmt.Fprintf(c.out, "device %s: %s\n", s.Device, link)
	if s.ClockOffset != 0 {
		fmt.Fprintf(c.out, "the machine's clock is off by %v\n", -time.Duration(s.ClockOffset)*time.Second)
	}
	for _, x := range s.SignIns {
		c.showSignIn(false, x)
	}
	for _, x := range s.Sessions {
		fmt.Fprintf(c.out, "%s: session of %s on seat %d, token for %d s%s, settings %s\n", x.ID, who(x), x.Seat, x.ExpiresIn, after(x), x.Settings)
	}
	var people []string
	for _, p := range s.People {
		people = append(people, fmt.Sprintf("%s (%d)", p.Name, p.Number))
	}
	if people != nil {
		fmt.Fprintf(c.out, "people: %s\n", strings.Join(people, ", "))
	}
}

// after says what follows a session's token.
func after(s api.Session) string {
	switch {
	case s.Renewable:
		return " and then another"
	case s.RingAgain && s.Code != "":
		return " and then no other (" + s.Code + "): ask for the person again"
	case s.RingAgain:
		return " and then no other: ask for the person again"
	}
	return ""
}

func (c *cli) versionCommand() *ffcli.Command {
	return c.command(command{
		name: "version", short: "Prints the version.",
		help:  "Prints the version, and what it was built from.\n\nEXAMPLE\n  carillon-agent version",
		flags: func(*flag.FlagSet) {},
		exec: func(context.Context, []string) error {
			fmt.Fprintln(c.out, "carillon-agent", version())
			return nil
		},
	})
}

// version is what the Go tool has recorded.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && !strings.Contains(v, s.Value[:min(12, len(s.Value))]) {
			v += " " + s.Value
		}
	}
	return v + " " + info.GoVersion
}
