package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/device-sim/phone"
	"github.com/carillon-iot/carillon/device-sim/scenario"
	"github.com/carillon-iot/carillon/device-sim/world"
	"github.com/carillon-iot/carillon/device-sim/world/wiretap"
	"github.com/carillon-iot/carillon/schemas"
)

// budget is what a whole sign-in may cost the radio, in bytes of MQTT.
const budget = 1800

// patience is how long a visit by itself waits for each thing.
const patience = 20 * time.Second

// visit is somebody in a world.
type visit struct {
	flags worldFlags
	std   stdio
	world *world.World
	out   printer
	asked <-chan struct{} // a phone rings, and the car shows the same words
	car   *world.Car
}

// ask begins a sign-in of the person of a key.
func (v *visit) ask(ctx context.Context, car *world.Car, person, scope string) error {
	p := v.world.Person(person)
	want := world.Ask{Hint: p.Email, Scope: scope}
	if car.Knows(p.Name) {
		want.Person, want.Hint = p.Name, ""
	}
	_, err := car.Ask(ctx, want)
	return err
}

// auto signs in and out, and sums up.
func (v *visit) auto(ctx context.Context) error {
	began, before := time.Now(), v.world.Radio()
	spent, took, err := v.signIn(ctx)
	if err == nil {
		v.out.note("")
		err = v.signOut(ctx)
	}
	s := summary{Event: "summary", Scenario: "world", Outcome: scenario.Passed, Answers: []string{"granted"}, Pushes: v.world.Pushes(), MS: time.Since(began).Milliseconds()}
	cost := v.world.Radio().Sub(before)
	s.BytesUp, s.BytesDown = cost.Up, cost.Down
	if err != nil {
		s.Outcome, s.Problem, s.Answers = scenario.Failed, err.Error(), nil
		v.out.summary(s)
		return err
	}
	v.out.note("\nThe sign-in cost the radio %d bytes up and %d down: %d of a budget of %d. %s, %d ms from the touch to the last setting.\n",
		spent.Up, spent.Down, spent.Up+spent.Down, budget, plural(s.Pushes, "push", "pushes"), took.Milliseconds())
	v.out.summary(s)
	return nil
}

// signIn returns what it cost and how long it took.
func (v *visit) signIn(ctx context.Context) (cost wiretap.Count, took time.Duration, err error) {
	began, before, receipts := time.Now(), v.car.Spent(), v.car.Carried(schemas.KindReceipt)
	if err := v.ask(ctx, v.car, v.flags.person, v.flags.scope); err != nil {
		return cost, 0, err
	}
	person := v.world.Person(v.flags.person)
	err = v.await(ctx, func() error { return person.Decide(phone.Approved) })
	if err == nil {
		err = v.await(ctx, v.applied)
	}
	took = time.Since(began)
	if err == nil {
		err = v.await(ctx, v.more(schemas.KindReceipt, receipts))
	}
	return v.car.Spent().Sub(before), took, err
}

func (v *visit) await(ctx context.Context, cond func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return v.world.Await(ctx, cond)
}

func (v *visit) applied() error {
	for _, s := range v.car.Status().Sessions {
		switch s.Settings {
		case agent.SettingsApplied:
			return nil
		case agent.SettingsFailed:
			return fmt.Errorf("settings not applied: %s", s.Problem)
		}
	}
	return errors.New("nobody is signed in yet")
}

// more waits for another message of a kind on the car's radio.
func (v *visit) more(k schemas.Kind, than int) func() error {
	return func() error {
		if v.car.Carried(k) == than {
			return fmt.Errorf("the radio has carried no %v yet", k)
		}
		return nil
	}
}

// signOut waits until everything is restored and the bridge has confirmed it.
func (v *visit) signOut(ctx context.Context) error {
	confirmed := v.car.Carried(schemas.KindRevoked)
	if err := v.car.SignOut(ctx); err != nil {
		return err
	}
	err := v.await(ctx, func() error {
		if n := len(v.car.Changed()); n > 0 {
			return fmt.Errorf("%d settings are not restored", n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return v.await(ctx, v.more(schemas.KindRevoked, confirmed))
}
