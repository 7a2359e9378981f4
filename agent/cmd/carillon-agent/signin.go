package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"time"

	"github.com/peterbourgon/ff/v3/ffcli"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/api"
)

type signInFlags struct {
	caller
	req    api.SignInRequest
	expiry time.Duration
	noWait bool
}

func (o *signInFlags) define(fs *flag.FlagSet) {
	o.caller.define(fs)
	fs.StringVar(&o.req.Scope, "scope", "", "what is asked for, separated by spaces, such as \"seat climate\"; required")
	fs.StringVar(&o.req.Person, "person", "", "somebody who was signed in here before: number or name")
	fs.StringVar(&o.req.LoginHint, "login-hint", "", "an address or number by which the provider knows the person")
	fs.StringVar(&o.req.LoginHintToken, "login-hint-token", "", "the same as a token of the provider")
	fs.StringVar(&o.req.IDTokenHint, "id-token-hint", "", "an ID token of the person")
	fs.StringVar(&o.req.Purpose, "purpose", "", "what it is for, shown on the phone, such as \"12.50 EUR at till 3\"")
	fs.StringVar(&o.req.ACR, "acr", "", "how the person is to be authenticated (acr_values)")
	fs.IntVar(&o.req.Seat, "seat", 0, "where the person sits: 1 the driver, 3 the passenger, 4 to 6 the second row (default 1 in a car)")
	fs.Func("expiry", "how long to ring, a `duration` such as 90s (default the bridge's)", o.setExpiry)
	fs.BoolVar(&o.noWait, "no-wait", false, "print the id and do not wait")
}

func (o *signInFlags) setExpiry(text string) (err error) {
	if o.expiry, err = time.ParseDuration(text); err == nil {
		return nil
	}
	if _, err := strconv.Atoi(text); err == nil {
		return fmt.Errorf("a unit is missing, such as in %ss", text)
	}
	return errors.New("want a number with a unit, such as 90s or 2m")
}

func (c *cli) signInCommand() *ffcli.Command {
	var o signInFlags
	return c.command(command{
		name: "sign-in", short: "Rings a person's phone and waits for the answer.",
		help: `Shows the same text as the phone, and what becomes of it. Ctrl-C withdraws the
sign-in.

EXAMPLE
  carillon-agent sign-in --scope "seat climate" --login-hint anna@example.com
  carillon-agent sign-in --scope "seat climate" --person Anna --expiry 60s
  carillon-agent sign-in --scope pay --login-hint +15550100 --purpose "12.50 EUR at till 3" --json`,
		flags: o.define,
		exec:  func(ctx context.Context, _ []string) error { return c.signIn(ctx, &o) },
	})
}

func (c *cli) signIn(ctx context.Context, o *signInFlags) error {
	if o.req.Scope == "" {
		return usagef("--scope is required")
	}
	if err := oneOf(choice{"--person", o.req.Person != ""}, choice{"--login-hint", o.req.LoginHint != ""},
		choice{"--login-hint-token", o.req.LoginHintToken != ""}, choice{"--id-token-hint", o.req.IDTokenHint != ""}); err != nil {
		return err
	}
	if o.expiry%time.Second != 0 || o.expiry < 0 {
		return usagef("--expiry is %v, want whole seconds", o.expiry)
	}
	o.req.Expiry = int(o.expiry / time.Second)
	client := o.client()
	if o.noWait {
		s, err := client.SignIn(ctx, o.req)
		if err != nil {
			return err
		}
		c.showSignIn(o.json, s)
		return nil
	}
	// Events of what follows must not be missed, so they come first.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	w := &waiter{cli: c, json: o.json, client: client, events: follow(life, client)}
	if err := w.ready(ctx); err != nil {
		return err
	}
	// A Ctrl-C now must not leave a phone ringing that nobody can name.
	asking, stop := context.WithTimeout(life, askTime)
	defer stop()
	s, err := client.SignIn(asking, o.req)
	if err != nil {
		return err
	}
	w.id = s.ID
	w.signIn(s)
	return w.wait(ctx)
}

// showSignIn prints a sign-in as a line.
func (c *cli) showSignIn(asJSON bool, s api.SignIn) {
	if asJSON {
		c.line(s)
		return
	}
	switch s.State {
	case agent.StateSending:
		fmt.Fprintf(c.out, "%s: asking\n", s.ID)
	case agent.StateRinging:
		fmt.Fprintf(c.out, "%s: the phone rings for %d s and shows %q\n", s.ID, s.ExpiresIn, s.BindingMessage)
	case agent.StateRefused:
		again := ""
		if s.RetryAfter > 0 {
			again = fmt.Sprintf(", ask again in %d s", s.RetryAfter)
		}
		fmt.Fprintf(c.out, "%s: refused: %s%s\n", s.ID, s.Code, again)
	case agent.StateUnsent:
		fmt.Fprintf(c.out, "%s: given up, nobody was asked: there was no connection\n", s.ID)
	case agent.StateUnknown:
		fmt.Fprintf(c.out, "%s: given up without an answer\n", s.ID)
	default:
		fmt.Fprintf(c.out, "%s: %s\n", s.ID, s.State)
	}
}
