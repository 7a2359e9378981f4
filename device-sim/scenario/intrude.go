package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/device-sim/scenario/script"
	"github.com/carillon-iot/carillon/device-sim/world"
	"github.com/carillon-iot/carillon/schemas"
)

func intrusions() []sentence {
	return []sentence{
		{"an intruder with a good certificate connects", "another device that was enrolled as it should be", intrude},
		{"an intruder with a good certificate connects as the {car} car", "with the car's client id", impersonate},
		{"an intruder with a good certificate listens to the {car} car", "subscribes to the car's topic", eavesdrop},
		{"an intruder with a certificate of another authority connects as the {car} car", "the certificate says that it is the car", strange},
		{"the intruder publishes a sign-in of {person} as the {car} car", "signed with its own key, on the car's topic", forgeSignIn},
		{"the intruder publishes a refusal to the {car} car", "signed with its own key, on the car's topic", forgeRefusal},
		{"the broker's operator passes on what the intruder has published", "past every rule of the broker", passOn},
		{"the intruder publishes the {car} car's sign-in as its own", "the same bytes on the intruder's topic", replayByIntruder},
	}
}

func intrude(ctx context.Context, s *stage, _ script.Args) error {
	in, err := s.newIntruder(ctx)
	if err != nil {
		return err
	}
	return connect(ctx, in, string(in.Device), "")
}

func impersonate(ctx context.Context, s *stage, a script.Args) error {
	in, err := s.newIntruder(ctx)
	if err != nil {
		return err
	}
	return connect(ctx, in, string(s.car(a).Device), "")
}

func eavesdrop(ctx context.Context, s *stage, a script.Args) error {
	in, err := s.newIntruder(ctx)
	if err != nil {
		return err
	}
	return connect(ctx, in, string(in.Device), schemas.DownTopic(s.car(a).Device).String())
}

func strange(ctx context.Context, s *stage, a script.Args) error {
	victim := s.car(a).Device
	in, err := s.world.NewStranger(victim)
	if err != nil {
		return err
	}
	s.intruders = append(s.intruders, in)
	return connect(ctx, in, string(victim), "")
}

func (s *stage) newIntruder(ctx context.Context) (*world.Intruder, error) {
	in, err := s.world.NewIntruder(ctx)
	if err == nil {
		s.intruders = append(s.intruders, in)
	}
	return in, err
}

func connect(ctx context.Context, in *world.Intruder, clientID, filter string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return in.Connect(ctx, clientID, filter)
}

func forgeSignIn(ctx context.Context, s *stage, a script.Args) error {
	c := s.car(a)
	bridge, ok := c.SealingKey()
	if !ok {
		return fmt.Errorf("the %s car has had no welcome to take the bridge's sealing key from", c.Name)
	}
	key, err := schemas.GenerateSealKey()
	if err != nil {
		return err
	}
	m := &schemas.SignIn{
		ID: schemas.NewID(), IssuedAt: schemas.Seconds(time.Now()), Scope: "seat",
		Device: schemas.Car, ResponseKey: key.Public(),
	}
	m.Sealed, err = schemas.SealPrivate(bridge, c.Device, m.ID, schemas.Private{LoginHint: s.person(a).Email})
	if err != nil {
		return err
	}
	return s.forge(ctx, schemas.UpTopic(c.Device), m)
}

func forgeRefusal(ctx context.Context, s *stage, a script.Args) error {
	c := s.car(a)
	return s.forge(ctx, schemas.DownTopic(c.Device), &schemas.Refused{
		ID: c.Asked(), IssuedAt: schemas.Seconds(time.Now()), Code: schemas.AccessDenied,
	})
}

func (s *stage) forge(ctx context.Context, topic schemas.Topic, m schemas.Message) error {
	in, err := s.intruder()
	if err != nil {
		return err
	}
	b, err := in.Forge(topic, m)
	if err != nil {
		return err
	}
	return in.Publish(ctx, topic, b)
}

func replayByIntruder(ctx context.Context, s *stage, a script.Args) error {
	in, err := s.intruder()
	if err != nil {
		return err
	}
	b, err := captured(s, a, schemas.KindSignIn)
	if err != nil {
		return err
	}
	return in.Publish(ctx, schemas.UpTopic(in.Device), b)
}

func passOn(_ context.Context, s *stage, _ script.Args) error {
	in, err := s.intruder()
	if err != nil {
		return err
	}
	if len(in.Said()) == 0 {
		return errors.New("the intruder has published nothing yet")
	}
	for _, m := range in.Said() {
		if err := s.world.PublishAsOperator(m.Topic, m.Payload); err != nil {
			return err
		}
	}
	return nil
}
