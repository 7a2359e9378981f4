package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/api"
)

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
