package scenario

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/carillon-iot/carillon/device-sim/scenario/script"
	"github.com/carillon-iot/carillon/device-sim/world"
	"github.com/carillon-iot/carillon/device-sim/world/wiretap"
	"github.com/carillon-iot/carillon/schemas"
)

// patience is how long a step waits that names no deadline.
const patience = 10 * time.Second

// stage is where one scenario is played. One goroutine owns it.
type stage struct {
	cfg       world.Config
	world     *world.World      // nil until the first step that is not Given
	intruders []*world.Intruder // the last one is "the intruder"
	asks      []*asked
	rand      *rand.Rand               // of the people: how long they think
	scope     map[string]string        // by car: of the latest sign-in
	spent     map[string]wiretap.Count // by car: when that began
	links     map[string]int           // by car: its connections when the last one was cut
}

func newStage(cfg world.Config, name string, seed uint64) *stage {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // cannot fail
	cfg.Clocks = map[string]func() time.Time{}
	return &stage{
		cfg: cfg, rand: rand.New(rand.NewPCG(seed, h.Sum64())),
		scope: map[string]string{}, spent: map[string]wiretap.Count{}, links: map[string]int{},
	}
}

// asked is one sign-in that a step has begun.
type asked struct {
	car *world.Car
	id  schemas.ID
	end string // how it ended; "" until then
}

// note looks how the sign-ins stand, while the cars still know.
func (s *stage) note() {
	for _, a := range s.asks {
		if in, ok := a.car.SignIn(a.id); ok && a.end == "" && in.State.Final() {
			a.end = describe(in)
		}
	}
}

// answers are the ends of all sign-ins, in the order of their beginning.
func (s *stage) answers() []string {
	out := []string{}
	for _, a := range s.asks {
		if a.end == "" {
			a.end = "open"
		}
		out = append(out, a.end)
	}
	return out
}

// settle waits a moment for the receipts that are on their way, so that what is
// counted does not depend on who is faster. A scenario in which one is missing
// has said so itself, or does not care.
func (s *stage) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = s.world.Await(ctx, func() error {
		s.note()
		answered := map[*world.Car]int{}
		for _, a := range s.asks {
			if a.end != "" {
				answered[a.car]++
			}
		}
		for c, n := range answered {
			if c.Carried(schemas.KindReceipt) < n {
				return errors.New("a receipt is missing")
			}
		}
		return nil
	})
}

func (s *stage) intruder() (*world.Intruder, error) {
	if len(s.intruders) == 0 {
		return nil, errors.New("there is no intruder yet")
	}
	return s.intruders[len(s.intruders)-1], nil
}

func (s *stage) car(a script.Args) *world.Car       { return s.world.Car(a["car"].(string)) }
func (s *stage) victim(a script.Args) *world.Car    { return s.world.Car(a["victim"].(string)) }
func (s *stage) person(a script.Args) *world.Person { return s.world.Person(a["person"].(string)) }

// think is the moment that a person needs: up to 300 ms, by the seed.
func (s *stage) think(ctx context.Context) error {
	return s.pause(ctx, time.Duration(s.rand.Int64N(int64(300*time.Millisecond))))
}

func (s *stage) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
