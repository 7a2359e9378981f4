package scenario

import (
	"context"
	"errors"
	"fmt"

	"github.com/carillon-iot/carillon/device-sim/scenario/script"
)

func defences() []sentence {
	return []sentence{
		{"the broker refuses the intruder", "its connection or its subscription", refusesIntruder},
		{"the intruder is connected", "", intruderConnected},
		{"no intruder has heard anything", "no message has reached any of them", heardNothing},
		{"nothing of an intruder has reached the {car} car", "none of the messages that they published", notReached},
		{"the {car} car has kept its connection", "the one it made when the world began", keptConnection},
	}
}

func refusesIntruder(_ context.Context, s *stage, _ script.Args) error {
	in, err := s.intruder()
	if err != nil {
		return err
	}
	if in.Refusal() == nil {
		return errors.New("the intruder is connected")
	}
	return nil
}

func intruderConnected(_ context.Context, s *stage, _ script.Args) error {
	in, err := s.intruder()
	if err != nil {
		return err
	}
	if err := in.Refusal(); err != nil {
		return fmt.Errorf("the intruder is not connected: %w", err)
	}
	return nil
}

func heardNothing(_ context.Context, s *stage, _ script.Args) error {
	for _, in := range s.intruders {
		if n := in.Heard(); n > 0 {
			return fmt.Errorf("an intruder has heard %d messages", n)
		}
	}
	return nil
}

func notReached(_ context.Context, s *stage, a script.Args) error {
	for _, in := range s.intruders {
		for _, m := range in.Said() {
			if s.car(a).Got(m.Payload) {
				return fmt.Errorf("what an intruder published on %v has reached the %s car", m.Topic, a["car"])
			}
		}
	}
	return nil
}

func keptConnection(_ context.Context, s *stage, a script.Args) error {
	if n := s.car(a).Connections(); n != 1 {
		return fmt.Errorf("the %s car has connected %d times", a["car"], n)
	}
	return nil
}
