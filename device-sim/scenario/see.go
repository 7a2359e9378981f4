package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/device-sim/scenario/script"
	"github.com/carillon-iot/carillon/device-sim/settings"
	"github.com/carillon-iot/carillon/schemas"
)

func sights() []sentence {
	return []sentence{
		{"the {car} car is connected again", "since its connection was cut, or the broker restarted", isConnected},
		{"the request on {person}'s phone has lapsed", "it is no longer shown there", hasLapsed},
		{"{person}'s phone and the {car} car show the same words", "the binding message of the sign-in that is open", sameWords},
		{"the {car} car is signed in as {person}", "its latest sign-in was granted, and by this person", signedInAs},
		{"nobody is signed in on the {car} car", "", nobodySignedIn},
		{"the {car} car has a token that is good", "of its latest sign-in", hasToken},
		{"the {car} car must ring again", "its session ends with its token, unless somebody is rung before", mustRing},
		{"the {car} car is refused: {code}", "its latest sign-in has ended so", isRefused},
		{"the {car} car's sign-in is withdrawn", "its latest sign-in has ended as cancelled", isCancelled},
		{"the {car} car has {person}'s settings for {scopes}", "every one of them, read from the vehicle", hasSettings},
		{"the {car} car has changed nothing else", "but what the scopes of its latest sign-in cover", nothingElse},
		{"the {car} car is as it was before", "every value is what it was before the sign-in", asBefore},
		{"the {car} car knows {person}", "and can name the person by a handle", knows},
		{"the {car} car knows the time", "to two seconds, though its own clock may not", knowsTime},
	}
}

func isConnected(_ context.Context, s *stage, a script.Args) error {
	if c := s.car(a); !c.Status().Connected || c.Connections() == s.links[c.Name] {
		return fmt.Errorf("the %s car is not connected again", c.Name)
	}
	return nil
}

func hasLapsed(_ context.Context, s *stage, a script.Args) error {
	p := s.person(a)
	if _, ok := p.Asked(); ok {
		return fmt.Errorf("%s's phone still shows a request", p.Name)
	}
	if _, ok := p.Last(); !ok {
		return fmt.Errorf("%s's phone has shown no request", p.Name)
	}
	return nil
}

func sameWords(_ context.Context, s *stage, a script.Args) error {
	c, p := s.car(a), s.person(a)
	r, ok := p.Asked()
	if !ok {
		return fmt.Errorf("%s's phone shows nothing", p.Name)
	}
	in, ok := c.SignIn(c.Asked())
	if !ok || in.Binding == "" || in.Binding != r.BindingMessage {
		return fmt.Errorf("the car shows %q, the phone %q", in.Binding, r.BindingMessage)
	}
	return nil
}

// latest returns the car's latest sign-in.
func latest(s *stage, a script.Args) (agent.SignIn, error) {
	c := s.car(a)
	in, ok := c.SignIn(c.Asked())
	if !ok {
		return in, fmt.Errorf("the %s car has no sign-in", c.Name)
	}
	return in, nil
}

func signedInAs(_ context.Context, s *stage, a script.Args) error {
	in, err := latest(s, a)
	if err != nil {
		return err
	}
	if in.State != agent.StateGranted {
		return errors.New("the sign-in is " + describe(in))
	}
	for _, session := range s.car(a).Status().Sessions {
		if session.ID == in.ID && session.Name == s.person(a).Name {
			return nil
		}
	}
	return fmt.Errorf("no session of %s belongs to the sign-in", s.person(a).Name)
}

func hasToken(ctx context.Context, s *stage, a script.Args) error { return s.car(a).HasToken(ctx) }

func mustRing(_ context.Context, s *stage, a script.Args) error {
	for _, session := range s.car(a).Status().Sessions {
		if session.RingAgain {
			return nil
		}
	}
	return fmt.Errorf("no session of the %s car has to end", a["car"])
}

func describe(in agent.SignIn) string {
	if in.State == agent.StateRefused {
		return "refused: " + strings.ReplaceAll(in.Code.String(), "_", " ")
	}
	return string(in.State)
}

func nobodySignedIn(_ context.Context, s *stage, a script.Args) error {
	if n := len(s.car(a).Status().Sessions); n > 0 {
		return fmt.Errorf("the %s car has %d sessions", a["car"], n)
	}
	return nil
}

func isRefused(_ context.Context, s *stage, a script.Args) error {
	in, err := latest(s, a)
	if err != nil {
		return err
	}
	if in.State != agent.StateRefused || in.Code != a["code"].(schemas.Code) {
		return errors.New("the sign-in is " + describe(in))
	}
	return nil
}

func isCancelled(_ context.Context, s *stage, a script.Args) error {
	in, err := latest(s, a)
	if err != nil {
		return err
	}
	if in.State != agent.StateCancelled {
		return errors.New("the sign-in is " + describe(in))
	}
	return nil
}

// hasSettings compares the vehicle with what the settings API has stored.
func hasSettings(_ context.Context, s *stage, a script.Args) error {
	c, p := s.car(a), s.person(a)
	now := c.Vehicle.Values()
	found := 0
	for path, want := range settings.Samples()[p.Subject].Settings {
		if !covered(path, a["scopes"].(string)) {
			continue
		}
		found++
		if got := now[path]; got != value(want) {
			return fmt.Errorf("%s is %v, %s wants %v", path, got, p.Name, want)
		}
	}
	if found == 0 {
		return fmt.Errorf("%s has no settings for %s", p.Name, a["scopes"])
	}
	return nil
}

func covered(path, scope string) bool {
	return slices.ContainsFunc(strings.Fields(scope), func(one string) bool {
		return slices.ContainsFunc(settings.Branches(one), func(b string) bool { return strings.HasPrefix(path, b+".") })
	})
}

func value(v any) vehicle.Value {
	switch v := v.(type) {
	case bool:
		return vehicle.Bool(v)
	case float64:
		return vehicle.Number(v)
	case string:
		return vehicle.Text(v)
	}
	return vehicle.Value{}
}

func nothingElse(_ context.Context, s *stage, a script.Args) error {
	c := s.car(a)
	for _, ch := range c.Changed() {
		if !covered(ch.Path, s.scope[c.Name]) {
			return fmt.Errorf("%s has become %v, which %q does not cover", ch.Path, ch.New, s.scope[c.Name])
		}
	}
	return nil
}

func asBefore(_ context.Context, s *stage, a script.Args) error {
	if changed := s.car(a).Changed(); len(changed) > 0 {
		ch := changed[0]
		return fmt.Errorf("%s was %v and is %v, and %d more differ", ch.Path, ch.Old, ch.New, len(changed)-1)
	}
	return nil
}

func knows(_ context.Context, s *stage, a script.Args) error {
	if c, p := s.car(a), s.person(a); !c.Knows(p.Name) {
		return fmt.Errorf("the %s car does not know %s", c.Name, p.Name)
	}
	return nil
}

func knowsTime(_ context.Context, s *stage, a script.Args) error {
	if off := time.Until(s.car(a).Now()); off.Abs() > 2*time.Second {
		return fmt.Errorf("the %s car is wrong by %v", a["car"], off.Round(time.Second))
	}
	return nil
}
