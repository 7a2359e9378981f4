package scenario

import (
	"context"
	"fmt"

	"github.com/carillon-iot/carillon/device-sim/scenario/script"
	"github.com/carillon-iot/carillon/device-sim/world"
	"github.com/carillon-iot/carillon/schemas"
)

func faults() []sentence {
	return []sentence{
		{"the next {message} to the {car} car is lost", "the radio drops it, once", lose},
		{"the {car} car drives through a tunnel", "its connection is cut", tunnel},
		{"the broker restarts", "every connection and all it has in memory is gone", restartBroker},
		{"the bridge is killed", "kill -9 to its process", killBridge},
		{"the bridge starts again", "a new process on the same files", startBridge},
		{"the provider cannot be reached", "its listener and its connections are closed; phones go on", hideProvider},
		{"the provider can be reached again", "at the same address", showProvider},
		{"the {car} car's sign-in is published again by the car", "the same bytes on the same topic", replayByCar},
		{"the {car} car's sign-in is published again by the broker's operator", "past every rule of the broker", replayByOperator},
		{"the {car} car's renewal is published again by the broker's operator", "likewise", replayRenewal},
		{"a thief spends a refresh token of {person}'s that was spent before", "with the bridge's secret; the provider must refuse", steal},
		{"the {car} car's sign-in is published by the broker's operator as the {victim} car's", "on the other car's topic", replayAs},
	}
}

func lose(_ context.Context, s *stage, a script.Args) error {
	s.car(a).Tap.LoseNext(a["message"].(schemas.Kind))
	return nil
}

func tunnel(_ context.Context, s *stage, a script.Args) error {
	c := s.car(a)
	s.links[c.Name] = c.Connections()
	c.Tap.Cut()
	return nil
}

func restartBroker(ctx context.Context, s *stage, _ script.Args) error {
	for _, name := range world.CarNames() {
		s.links[name] = s.world.Car(name).Connections()
	}
	return s.world.RestartBroker(ctx)
}

func killBridge(_ context.Context, s *stage, _ script.Args) error { return s.world.KillBridge() }

func startBridge(ctx context.Context, s *stage, _ script.Args) error { return s.world.StartBridge(ctx) }

func hideProvider(_ context.Context, s *stage, _ script.Args) error { return s.world.HideProvider() }

func showProvider(ctx context.Context, s *stage, _ script.Args) error {
	return s.world.ShowProvider(ctx)
}

// captured is the car's latest message of a kind, as it was on the wire.
func captured(s *stage, a script.Args, k schemas.Kind) ([]byte, error) {
	c := s.car(a)
	b, ok := c.Sent(k)
	if !ok {
		return nil, fmt.Errorf("the %s car has sent no %v yet", c.Name, k)
	}
	return b, nil
}

func steal(ctx context.Context, s *stage, a script.Args) error {
	return s.world.StealRefreshToken(ctx, s.person(a))
}

func replayRenewal(_ context.Context, s *stage, a script.Args) error {
	b, err := captured(s, a, schemas.KindRenew)
	if err != nil {
		return err
	}
	return s.world.PublishAsOperator(schemas.UpTopic(s.car(a).Device), b)
}

func replayByCar(ctx context.Context, s *stage, a script.Args) error {
	b, err := captured(s, a, schemas.KindSignIn)
	if err != nil {
		return err
	}
	return s.car(a).Republish(ctx, b)
}

func replayByOperator(_ context.Context, s *stage, a script.Args) error {
	b, err := captured(s, a, schemas.KindSignIn)
	if err != nil {
		return err
	}
	return s.world.PublishAsOperator(schemas.UpTopic(s.car(a).Device), b)
}

func replayAs(_ context.Context, s *stage, a script.Args) error {
	b, err := captured(s, a, schemas.KindSignIn)
	if err != nil {
		return err
	}
	return s.world.PublishAsOperator(schemas.UpTopic(s.victim(a).Device), b)
}
