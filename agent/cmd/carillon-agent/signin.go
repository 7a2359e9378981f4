package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
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
	fs.DurationVar(&o.expiry, "expiry", 0, "how long to ring, such as 90s (default the bridge's)")
	fs.BoolVar(&o.noWait, "no-wait", false, "print the id and do not wait")
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

// item is an event, or why there are no more.
type item struct {
	api.Event
	err error
}

// follow reads events until ctx ends, over restarts of the agent.
func follow(ctx context.Context, client *api.Client) <-chan item {
	items := make(chan item)
	send := func(i item) bool {
		select {
		case items <- i:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		for ctx.Err() == nil {
			for e, err := range client.Events(ctx) {
				if !send(item{e, err}) {
					return
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
	return items
}

// A waiter follows one sign-in to its end.
type waiter struct {
	*cli
	json   bool
	client *api.Client
	events <-chan item
	id     string

	last     api.SignIn
	over     bool // the sign-in is
	session  api.Session
	settings bool // what became of the settings is known
}

// Times to wait for what should come soon.
const (
	askTime      = 15 * time.Second // for the agent to store a sign-in
	cancelTime   = 10 * time.Second // for a withdrawn sign-in to end
	settingsTime = 20 * time.Second // for settings to be applied
)

// ready waits for the stream to begin.
func (w *waiter) ready(ctx context.Context) error {
	select {
	case i := <-w.events:
		return i.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// wait follows the sign-in, and cancels it when ctx ends.
func (w *waiter) wait(ctx context.Context) error {
	interrupted := ctx.Done()
	var limit <-chan time.Time
	for !w.done() {
		select {
		case i := <-w.events:
			if i.err != nil {
				fmt.Fprintf(w.err, "carillon-agent: %v; trying again\n", i.err)
				continue
			}
			if err := w.event(i.Event); err != nil {
				return err
			}
			if w.over && limit == nil {
				limit = time.After(settingsTime)
			}
		case <-interrupted:
			interrupted = nil
			if w.over {
				return w.result()
			}
			w.cancel(ctx)
			limit = time.After(cancelTime)
		case <-limit:
			return w.result()
		}
	}
	return w.result()
}

// done reports whether there is nothing more to wait for.
func (w *waiter) done() bool {
	return w.over && (w.last.State != agent.StateGranted || w.settings)
}

func (w *waiter) cancel(ctx context.Context) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	defer stop()
	if _, err := w.client.Cancel(ctx, w.id); err != nil {
		fmt.Fprintf(w.err, "carillon-agent: cancelling: %v\n", err)
	}
}

func (w *waiter) result() error {
	if w.last.State == agent.StateGranted {
		return nil
	}
	if !w.over {
		return errors.New("the sign-in is withdrawn, which the bridge has not confirmed yet")
	}
	return errSaid
}

func (w *waiter) event(e api.Event) error {
	var err error
	switch e.Type {
	case api.EventSignIn:
		var s api.SignIn
		if err = json.Unmarshal(e.Data, &s); err == nil && s.ID == w.id {
			w.signIn(s)
		}
	case api.EventSession:
		var s api.Session
		if err = json.Unmarshal(e.Data, &s); err == nil && s.ID == w.id {
			w.sessionChanged(s)
		}
	case api.EventStatus: // the stream began anew
		var s api.Status
		if err = json.Unmarshal(e.Data, &s); err == nil {
			err = w.status(s)
		}
	}
	return err
}

func (w *waiter) status(s api.Status) error {
	found := false
	for _, x := range s.SignIns {
		if x.ID == w.id {
			w.signIn(x)
			found = true
		}
	}
	for _, x := range s.Sessions {
		if x.ID == w.id {
			w.sessionChanged(x)
		}
	}
	if !found {
		return fmt.Errorf("the agent does not know the sign-in %s any more", w.id)
	}
	return nil
}

func (w *waiter) signIn(s api.SignIn) {
	w.over = s.State.Final()
	if s.State == w.last.State && s.BindingMessage == w.last.BindingMessage {
		return
	}
	w.last = s
	w.showSignIn(w.json, s)
}

func (w *waiter) sessionChanged(s api.Session) {
	w.session = s
	w.settings = s.Settings != agent.SettingsFetching
	if w.json {
		w.line(s)
		return
	}
	switch s.Settings {
	case agent.SettingsNone, agent.SettingsFetching:
		fmt.Fprintf(w.out, "signed in: %s\n", who(s))
	case agent.SettingsFailed:
		fmt.Fprintf(w.out, "signed in: %s, without settings: %s\n", who(s), s.Problem)
	default:
		fmt.Fprintf(w.out, "signed in: %s, %d settings applied, %d wait until the vehicle stands, %d left out\n",
			who(s), len(s.Applied), len(s.Held), len(s.Skipped))
	}
}

func who(s api.Session) string {
	if s.Name == "" {
		return fmt.Sprintf("person %d", s.Person)
	}
	return fmt.Sprintf("%s (%d)", s.Name, s.Person)
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
		fmt.Fprintf(c.out, "%s: refused: %s\n", s.ID, s.Code)
	case agent.StateUnsent:
		fmt.Fprintf(c.out, "%s: given up, nobody was asked: there was no connection\n", s.ID)
	case agent.StateUnknown:
		fmt.Fprintf(c.out, "%s: given up without an answer\n", s.ID)
	default:
		fmt.Fprintf(c.out, "%s: %s\n", s.ID, s.State)
	}
}
