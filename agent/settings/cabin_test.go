package settings_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/schemas"
)

// A moody vehicle fails at will.
type moody struct {
	*vehicle.Memory
	getFails, setFails string // paths
	setsUntil          int    // then every Set fails; negative: never
}

var errMood = errors.New("not now")

func (m *moody) Get(ctx context.Context, path string) (vehicle.Value, error) {
	if path == m.getFails {
		return vehicle.Value{}, errMood
	}
	return m.Memory.Get(ctx, path)
}

func (m *moody) Set(ctx context.Context, path string, v vehicle.Value) error {
	if path == m.setFails || m.setsUntil == 0 {
		return errMood
	}
	m.setsUntil--
	return m.Memory.Set(ctx, path, v)
}

type garage struct {
	v     *moody
	store *outbox.Memory
	cabin *settings.Cabin
}

func newGarage(t *testing.T) *garage {
	g := &garage{v: &moody{Memory: vehicle.NewMemory(nil), setsUntil: -1}, store: new(outbox.Memory)}
	g.reopen(t)
	return g
}

func (g *garage) reopen(t *testing.T) {
	t.Helper()
	records, err := g.store.Load()
	if err != nil {
		t.Fatal(err)
	}
	g.cabin = settings.NewCabin(g.v, nil, g.store, records, slog.New(slog.DiscardHandler))
}

func plan(t *testing.T, d settings.Document, seat schemas.Seat) settings.Plan {
	t.Helper()
	p, err := settings.NewPlan(d, all, seat, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wantSame(t *testing.T, what string, got, want map[string]vehicle.Value) {
	t.Helper()
	for path, v := range want {
		if got[path] != v {
			t.Errorf("%s: %s is %v, want %v", what, path, got[path], v)
		}
	}
}

// Wherever a batch fails, everything is as before it.
func TestApplyIsAllOrNothing(t *testing.T) {
	p := plan(t, everything(), 1)
	for n := range len(p.Values) {
		g := newGarage(t)
		before := g.v.Values()
		g.v.setsUntil = n
		// The vehicle recovers for the way back.
		failing := &recovering{moody: g.v}
		g.cabin = settings.NewCabin(failing, nil, g.store, nil, slog.New(slog.DiscardHandler))
		if _, err := g.cabin.Apply(t.Context(), 1, p); !errors.Is(err, errMood) {
			t.Fatalf("failing at %d: %v", n, err)
		}
		wantSame(t, "after the failure", g.v.Values(), before)
	}
	g := newGarage(t)
	before := g.v.Values()
	g.v.getFails = warm
	if _, err := g.cabin.Apply(t.Context(), 1, p); !errors.Is(err, errMood) {
		t.Error(err)
	}
	wantSame(t, "after a failed reading", g.v.Values(), before)
}

// recovering fails once.
type recovering struct {
	*moody
}

func (r *recovering) Set(ctx context.Context, path string, v vehicle.Value) error {
	err := r.moody.Set(ctx, path, v)
	if err != nil {
		r.setsUntil = -1
	}
	return err
}

// A batch that fails in a vehicle that has driven off meanwhile moves nobody on
// the way back either: that waits until the vehicle stands.
func TestRollBackWaitsForStandstill(t *testing.T) {
	p := plan(t, everything(), 1)
	moved := 0
	for n := range len(p.Values) {
		g := newGarage(t)
		before := g.v.Values()
		g.v.setsUntil = n
		leaving := &leaving{recovering: recovering{moody: g.v}}
		g.cabin = settings.NewCabin(leaving, nil, g.store, nil, slog.New(slog.DiscardHandler))
		if _, err := g.cabin.Apply(t.Context(), 1, p); !errors.Is(err, errMood) {
			t.Fatalf("failing at %d: %v", n, err)
		}
		for _, path := range leaving.set {
			if signal, ok := vehicle.VSS6().Signal(path); !ok || signal.Moves {
				t.Errorf("failing at %d: %s was set in a vehicle that moves", n, path)
			}
		}
		if g.cabin.Waits() {
			moved++
		}
		if err := g.v.Drive(0); err != nil {
			t.Fatal(err)
		}
		g.cabin.Settle(t.Context())
		wantSame(t, "at a standstill", g.v.Values(), before)
		if g.cabin.Waits() {
			t.Errorf("failing at %d: something still waits", n)
		}
	}
	if moved == 0 {
		t.Error("nothing had to wait: a test that tests nothing")
	}
}

// leaving drives off when it fails for the first time.
type leaving struct {
	recovering
	away bool
	set  []string // while it moved
}

func (l *leaving) Set(ctx context.Context, path string, v vehicle.Value) error {
	err := l.recovering.Set(ctx, path, v)
	switch {
	case l.away && err == nil:
		l.set = append(l.set, path)
	case err != nil && !l.away:
		l.away = true
		return errors.Join(err, l.Drive(50))
	}
	return err
}

// What this vehicle does not have is skipped.
func TestMissingSignals(t *testing.T) {
	g := newGarage(t)
	report, err := g.cabin.Apply(t.Context(), 2, plan(t, everything(), 2)) // no seat in the middle
	if err != nil || len(report.Skipped) != 2 || len(report.Applied) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if len(g.cabin.Seats()) != 0 {
		t.Errorf("seats %v", g.cabin.Seats())
	}
}

func TestMoving(t *testing.T) {
	v := &moody{Memory: vehicle.NewMemory(nil), setsUntil: -1}
	for _, x := range []struct {
		speed float64
		flag  bool
		want  bool
	}{{0, false, false}, {0.4, false, false}, {0.6, false, true}, {-3, false, true}, {0, true, true}} {
		if err := errors.Join(v.Sense(vehicle.PathSpeed, vehicle.Number(x.speed)), v.Sense(vehicle.PathIsMoving, vehicle.Bool(x.flag))); err != nil {
			t.Fatal(err)
		}
		if got := settings.Moving(t.Context(), v); got != x.want {
			t.Errorf("at %v km/h, moving %v: %v", x.speed, x.flag, got)
		}
	}
	if err := v.Drive(0); err != nil {
		t.Fatal(err)
	}
	v.getFails = vehicle.PathSpeed
	if settings.Moving(t.Context(), v) {
		t.Error("moves although one signal says that it does not")
	}
	if err := v.Sense(vehicle.PathIsMoving, vehicle.Value{}); err == nil {
		t.Fatal("a test that tests nothing")
	}
	blind := &blind{}
	if !settings.Moving(t.Context(), blind) {
		t.Error("stands although nothing can be read")
	}
}

type blind struct{}

func (*blind) Get(context.Context, string) (vehicle.Value, error) { return vehicle.Value{}, errMood }
func (*blind) Set(context.Context, string, vehicle.Value) error   { return errMood }

// Whoever comes and goes in whatever order, whatever fails and however often
// the agent is started anew: when all have left and the vehicle is well, it is
// as it was at first.
func TestItComesBack(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		g := newGarage(t)
		before := g.v.Values()
		for range 12 {
			seat := schemas.Seat(1 + rnd.IntN(6))
			d := everything()
			for path := range d.Values {
				if rnd.IntN(3) == 0 {
					delete(d.Values, path)
				}
			}
			if v, ok := d.Values[seatAt]; ok {
				f, _ := v.Number()
				d.Values[seatAt] = vehicle.Number(f - float64(rnd.IntN(100)))
			}
			g.v.setsUntil, g.v.setFails = -1, ""
			if rnd.IntN(3) == 0 {
				g.v.setsUntil = rnd.IntN(6)
			}
			if err := g.v.Drive(float64(rnd.IntN(2) * 50)); err != nil {
				t.Fatal(err)
			}
			switch rnd.IntN(5) {
			case 0, 1:
				_, _ = g.cabin.Apply(t.Context(), seat, plan(t, d, seat))
			case 2:
				_, _ = g.cabin.Restore(t.Context(), seat, settings.Plan{})
			case 3:
				g.cabin.Settle(t.Context())
			case 4:
				g.reopen(t)
			}
		}
		g.v.setsUntil = -1
		g.reopen(t)
		if err := g.v.Drive(0); err != nil {
			t.Fatal(err)
		}
		for _, seat := range g.cabin.Seats() {
			if _, err := g.cabin.Restore(t.Context(), seat, settings.Plan{}); err != nil {
				t.Fatal(err)
			}
		}
		now := g.v.Values()
		if !maps.Equal(now, before) {
			wantSame(t, "at the end", now, before)
			t.Fatalf("seed %d", seed)
		}
		if len(g.cabin.Seats()) != 0 || g.cabin.Waits() {
			t.Errorf("seed %d: seats %v", seed, g.cabin.Seats())
		}
		records, err := g.store.Load()
		if err != nil || len(records) != 0 {
			t.Errorf("seed %d: %d records are left, %v", seed, len(records), err)
		}
	}
}

func TestDamagedJournal(t *testing.T) {
	for _, bad := range []string{``, `{}`, `{"version":2,"paths":{}}`, `{"version":1,"paths":{"a":null}}`, `{"version":1,"other":1}`} {
		c := settings.NewCabin(vehicle.NewMemory(nil), nil, new(outbox.Memory), map[string][]byte{"seat-1": []byte(bad), "seat-01": []byte(`{"version":1}`)}, slog.New(slog.DiscardHandler))
		if n := c.Seats(); len(n) != 0 {
			t.Errorf("%q: seats %v", bad, n)
		}
	}
	good := `{"version":1,"paths":{"` + heating + `":{"before":7}}}`
	v := vehicle.NewMemory(nil)
	c := settings.NewCabin(v, nil, new(outbox.Memory), map[string][]byte{"seat-1": []byte(good)}, slog.New(slog.DiscardHandler))
	if !slices.Equal(c.Seats(), []schemas.Seat{1}) {
		t.Fatalf("seats %v", c.Seats())
	}
	if _, err := c.Restore(t.Context(), 1, settings.Plan{}); err != nil {
		t.Fatal(err)
	}
	if got, _ := v.Get(t.Context(), heating); got != vehicle.Number(7) {
		t.Errorf("%v", got)
	}
}
