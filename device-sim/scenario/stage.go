package scenario

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/carillon-iot/carillon/device-sim/scenario/script"
	"github.com/carillon-iot/carillon/device-sim/world"
	"github.com/carillon-iot/carillon/device-sim/world/wiretap"
)

// patience is how long a step waits that names no deadline.
const patience = 10 * time.Second

// stage is where one scenario is played. One goroutine owns it.
type stage struct {
	cfg      world.Config
	world    *world.World // nil until the first step that is not Given
	intruder *world.Intruder
	rand     *rand.Rand               // of the people: how long they think
	scope    map[string]string        // by car: of the latest sign-in
	spent    map[string]wiretap.Count // by car: when that began
}

func newStage(cfg world.Config, name string, seed uint64) *stage {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // cannot fail
	cfg.Clocks = map[string]func() time.Time{}
	return &stage{
		cfg: cfg, rand: rand.New(rand.NewPCG(seed, h.Sum64())),
		scope: map[string]string{}, spent: map[string]wiretap.Count{},
	}
}

func (s *stage) car(a script.Args) *world.Car       { return s.world.Car(a["car"].(string)) }
func (s *stage) victim(a script.Args) *world.Car    { return s.world.Car(a["victim"].(string)) }
func (s *stage) person(a script.Args) *world.Person { return s.world.Person(a["person"].(string)) }

// think is the moment that a person needs: up to 300 ms, by the seed.
func (s *stage) think(ctx context.Context) error {
	t := time.NewTimer(time.Duration(s.rand.Int64N(int64(300 * time.Millisecond))))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
