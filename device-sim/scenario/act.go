package scenario

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/device-sim/phone"
	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/device-sim/scenario/script"
	"github.com/carillon-iot/carillon/device-sim/world"
)

func acts() []sentence {
	return []sentence{
		{"the {car} car asks {whom} for {scopes}", "begins a sign-in: by e-mail address, or by the handle of somebody the car knows", ask},
		{"the {car} car asks {whom} for {scopes} and waits {duration}", "the same, with the expiry it wants", ask},
		{"the {car} car cancels", "withdraws its latest sign-in", cancel},
		{"the driver of the {car} car waits as told", "for as long as the refusal says, of which there is one", waitAsTold},
		{"the {car} car signs out", "ends every session on the car", signOut},
		{"{person} approves", "the request that has waited longest on the phone, after a moment's thought", decide(phone.Approved)},
		{"{person} denies", "likewise", decide(phone.Denied)},
		{"{person} approves too late", "approves what the phone showed last; the provider must not take it", approveLate},
	}
}

func ask(ctx context.Context, s *stage, a script.Args) error {
	want := world.Ask{Scope: a["scopes"].(string)}
	want.Expiry, _ = a["duration"].(time.Duration)
	c := s.car(a)
	switch whom := a["whom"].(string); {
	case strings.Contains(whom, "@"):
		want.Hint = whom
	case c.Knows(s.world.Person(whom).Name):
		want.Person = s.world.Person(whom).Name
	default:
		want.Hint = s.world.Person(whom).Email
	}
	s.scope[c.Name] = want.Scope
	s.spent[c.Name] = c.Spent()
	id, err := c.Ask(ctx, want)
	if err != nil {
		return err
	}
	s.asks = append(s.asks, &asked{car: c, id: id})
	return nil
}

func cancel(ctx context.Context, s *stage, a script.Args) error { return s.car(a).Cancel(ctx) }

func signOut(ctx context.Context, s *stage, a script.Args) error { return s.car(a).SignOut(ctx) }

// waitAsTold waits for the retry-after of the latest refusal.
func waitAsTold(ctx context.Context, s *stage, a script.Args) error {
	in, err := latest(s, a)
	if err != nil {
		return err
	}
	if in.RetryAfter == 0 {
		return fmt.Errorf("the %s car was not told when to ask again: its sign-in is %s", a["car"], describe(in))
	}
	return s.pause(ctx, in.RetryAfter)
}

// decide waits for the phone to ring, thinks, and answers.
func decide(v phone.Verdict) func(context.Context, *stage, script.Args) error {
	return func(ctx context.Context, s *stage, a script.Args) error {
		p := s.person(a)
		wait, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		err := s.world.Await(wait, func() error {
			if _, ok := p.Asked(); !ok {
				return fmt.Errorf("nothing waits on %s's phone", p.Name)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := s.think(ctx); err != nil {
			return err
		}
		return p.Decide(v)
	}
}

func approveLate(ctx context.Context, s *stage, a script.Args) error {
	p := s.person(a)
	switch err := p.ApproveLate(ctx); {
	case err == nil:
		return fmt.Errorf("the provider has taken %s's late approval", p.Name)
	case errors.Is(err, provider.ErrLapsed), errors.Is(err, provider.ErrUnknownRequest), errors.Is(err, provider.ErrDecided):
		return nil
	default:
		return err
	}
}
