package scenario

import (
	"context"
	"fmt"

	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/device-sim/scenario/script"
)

func counts() []sentence {
	return []sentence{
		{"{person}'s phone rings {times}", "how often the provider has accepted a request for the person, and the phone has rung, since the start", rings},
		{"{person}'s phone has rung {times}", "the same, said afterwards", rings},
		{"{person}'s phone has never rung", "", neverRang},
		{"nobody's phone has rung", "", nobodyRang},
		{"the provider has handed out tokens {times}", "since the start", tokens},
		{"the provider has renewed tokens {times}", "since the start, without ringing anybody", renewedTokens},
		{"the provider was told to forget {times}", "how many sign-ins, since the start", toldToForget},
		{"the provider was never asked too often", "it has not answered slow_down", neverTooOften},
		{"the {car} car has lost {times}", "how many messages its radio has lost", lost},
		{"the sign-in has cost the {car} car at most {bytes} bytes", "of MQTT, both ways, acknowledgements too, since it asked; introductions (hello, welcome) and connections apart", costAtMost},
	}
}

func rings(_ context.Context, s *stage, a script.Args) error {
	p, want := s.person(a), a["times"].(int)
	if pushes, shown := p.Rings(), p.Shown(); pushes != want || shown != want {
		return fmt.Errorf("the provider has accepted %d, %s's phone has rung %d times", pushes, p.Name, shown)
	}
	return nil
}

func neverRang(_ context.Context, s *stage, a script.Args) error {
	if p := s.person(a); p.Rings() > 0 || p.Shown() > 0 {
		return fmt.Errorf("the provider has accepted %d, %s's phone has rung %d times", p.Rings(), p.Name, p.Shown())
	}
	return nil
}

func nobodyRang(_ context.Context, s *stage, _ script.Args) error {
	if n := s.world.Pushes(); n > 0 {
		return fmt.Errorf("phones have rung %d times", n)
	}
	return nil
}

func tokens(_ context.Context, s *stage, a script.Args) error {
	if n := s.world.ProviderCount(provider.Redeemed); n != a["times"].(int) {
		return fmt.Errorf("it has handed out tokens %d times", n)
	}
	return nil
}

func renewedTokens(_ context.Context, s *stage, a script.Args) error {
	if n := s.world.ProviderCount(provider.Renewed); n != a["times"].(int) {
		return fmt.Errorf("it has renewed tokens %d times", n)
	}
	return nil
}

func toldToForget(_ context.Context, s *stage, a script.Args) error {
	if n := s.world.ProviderCount(provider.Revoked); n != a["times"].(int) {
		return fmt.Errorf("it was told to forget %d times", n)
	}
	return nil
}

func neverTooOften(_ context.Context, s *stage, _ script.Args) error {
	if n := s.world.ProviderCount(provider.SlowDown); n > 0 {
		return fmt.Errorf("it has answered slow_down %d times", n)
	}
	return nil
}

func lost(_ context.Context, s *stage, a script.Args) error {
	if n := s.car(a).Lost(); n != a["times"].(int) {
		return fmt.Errorf("the radio of the %s car has lost %d messages", a["car"], n)
	}
	return nil
}

func costAtMost(_ context.Context, s *stage, a script.Args) error {
	c := s.car(a)
	spent := c.Spent().Sub(s.spent[c.Name])
	if n := spent.Up + spent.Down; n > a["bytes"].(int64) {
		return fmt.Errorf("the sign-in has cost the %s car %d bytes up and %d down", c.Name, spent.Up, spent.Down)
	}
	return nil
}
