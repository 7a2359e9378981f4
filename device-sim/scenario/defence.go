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
		{"the intruder has heard nothing", "no message has reached it", heardNothing},
		{"nothing of the intruder has reached the {car} car", "none of the messages that it published", notReached},
		{"the {car} car has kept its connection", "the one it made when the world began", keptConnection},
	}
}

func refusesIntruder(_ context.Context, s *stage, _ script.Args) error {
	if s.intruder == nil {
		return errNoIntruder
	}
	if s.intruder.Refusal() == nil {
		return errors.New("the intruder is connected")
	}
	return nil
}

func intruderConnected(_ context.Context, s *stage, _ script.Args) error {
	if s.intruder == nil {
		return errNoIntruder
	}
	if err := s.intruder.Refusal(); err != nil {
		return fmt.Errorf("the intruder is not connected: %w", err)
	}
	return nil
}

func heardNothing(_ context.Context, s *stage, _ script.Args) error {
	if s.intruder == nil {
		return errNoIntruder
	}
	if n := s.intruder.Heard(); n > 0 {
		return fmt.Errorf("the intruder has heard %d messages", n)
	}
	return nil
}

func notReached(_ context.Context, s *stage, a script.Args) error {
	if s.intruder == nil {
		return errNoIntruder
	}
	for _, m := range s.intruder.Said() {
		if s.car(a).Got(m.Payload) {
			return fmt.Errorf("what the intruder published on %v has reached the %s car", m.Topic, a["car"])
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
