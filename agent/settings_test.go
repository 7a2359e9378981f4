package agent_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/schemas"
)

// withVehicle gives a car a vehicle and a settings API.
func withVehicle(v settings.Vehicle, a *api) func(*agent.Config) {
	return func(cfg *agent.Config) { cfg.Vehicle, cfg.Settings = v, a }
}

func annasAPI() *api { return &api{doc: annasSettings()} }

// wantValue wants a signal to have a number.
func wantValue(t *testing.T, v *vehicle.Memory, path string, want float64) {
	t.Helper()
	synctest.Wait()
	got, err := v.Get(t.Context(), path)
	if err != nil || got != vehicle.Number(want) {
		t.Errorf("%s is %v (%v), want %v", path, got, err, want)
	}
}

func (c *car) session() agent.Session {
	c.t.Helper()
	c.wantSessions(1)
	return c.Status().Sessions[0]
}

func TestSettingsAreAppliedAndTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, v := agenttest.NewBridge(t), vehicle.NewMemory(nil)
		before := v.Values()
		c := newCar(t, b, withVehicle(v, annasAPI()))
		c.enter("Anna")
		wantValue(t, v, position, 320)
		wantValue(t, v, temperature, 19.5)
		wantValue(t, v, volume, 20) // no scope covers it
		s := c.session()
		if s.Settings != agent.SettingsApplied || len(s.Applied) != 3 || len(s.Skipped) != 1 || s.Skipped[0].Path != volume {
			t.Errorf("session: %+v", s)
		}
		c.restart()
		time.Sleep(time.Second)
		wantValue(t, v, position, 320)
		if _, err := c.SignOut(t.Context(), agent.Target{All: true}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for path, value := range v.Values() {
			if value != before[path] {
				t.Errorf("%s is %v, was %v", path, value, before[path])
			}
		}
		c.wantNoJournal()
	})
}

func (c *car) wantNoJournal() {
	c.t.Helper()
	all, err := c.store.Load()
	if err != nil {
		c.t.Fatal(err)
	}
	for name := range all {
		if strings.HasPrefix(name, "seat-") {
			c.t.Errorf("record %q is left", name)
		}
	}
}

// Nothing moves a seat while the vehicle moves; all the rest is set at once.
func TestHeldWhileMoving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, v := agenttest.NewBridge(t), vehicle.NewMemory(nil)
		c := newCar(t, b, withVehicle(v, annasAPI()))
		if err := v.Drive(50); err != nil {
			t.Fatal(err)
		}
		id := c.enter("Anna")
		if m := b.Knows(id).Message.(*schemas.SignIn); !m.Moving {
			t.Error("the bridge was not told that the vehicle moves")
		}
		wantValue(t, v, position, 150)
		wantValue(t, v, heating, 40)
		if s := c.session(); s.Settings != agent.SettingsHeld || len(s.Held) != 1 || s.Held[0] != position {
			t.Errorf("session: %+v", s)
		}
		c.restart() // what is held survives
		time.Sleep(time.Minute)
		wantValue(t, v, position, 150)
		if err := v.Drive(0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		wantValue(t, v, position, 320)
		if s := c.session(); s.Settings != agent.SettingsApplied || len(s.Held) != 0 || len(s.Applied) != 3 {
			t.Errorf("session: %+v", s)
		}
		// Nor does a sign-out.
		if err := v.Drive(50); err != nil {
			t.Fatal(err)
		}
		events := c.Watch(t.Context())
		if _, err := c.SignOut(t.Context(), agent.Target{All: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		wantValue(t, v, position, 320)
		wantValue(t, v, heating, 0)
		if err := v.Drive(0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		wantValue(t, v, position, 150)
		c.wantNoJournal()
		c.stop()
		var held []int
		for e := range events {
			if e.Seat != nil {
				held = append(held, len(e.Seat.Held))
			}
		}
		if len(held) != 2 || held[0] != 1 || held[1] != 0 {
			t.Errorf("the seat was told of with %v held", held)
		}
	})
}

// A stubborn vehicle takes no value for one path.
type stubborn struct {
	*vehicle.Memory

	mu   sync.Mutex // guards the rest
	path string
	sets int
}

func (s *stubborn) Set(ctx context.Context, path string, v vehicle.Value) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sets++
	if path == s.path {
		return errors.New("motor is blocked")
	}
	return s.Memory.Set(ctx, path, v)
}

func (s *stubborn) refuse(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.path = path
}

func TestAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, v := agenttest.NewBridge(t), &stubborn{Memory: vehicle.NewMemory(nil), path: position}
		before := v.Values()
		c := newCar(t, b, withVehicle(v, annasAPI()))
		c.enter("Anna")
		if s := c.session(); s.Settings != agent.SettingsFailed || !strings.Contains(s.Problem, "motor is blocked") || len(s.Applied) != 0 {
			t.Errorf("session: %+v", s)
		}
		if v.sets < 2 {
			t.Fatalf("only %d values were tried: the test tests nothing", v.sets)
		}
		for path, value := range v.Values() {
			if value != before[path] {
				t.Errorf("%s is %v, was %v", path, value, before[path])
			}
		}
		c.wantNoJournal()
	})
}

func TestWrongDocumentsSetNothing(t *testing.T) {
	for name, change := range map[string]func(settings.Values){
		"out of range":   func(d settings.Values) { d[temperature] = vehicle.Number(60) },
		"wrong type":     func(d settings.Values) { d[heating] = vehicle.Text("40") },
		"not whole":      func(d settings.Values) { d[heating] = vehicle.Number(1.5) },
		"beyond the own": func(d settings.Values) { d[position] = vehicle.Number(5000) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, v, a := agenttest.NewBridge(t), vehicle.NewMemory(nil), annasAPI()
				change(a.doc)
				c := newCar(t, b, withVehicle(v, a))
				c.enter("Anna")
				time.Sleep(time.Hour - 10*time.Second)
				if s := c.session(); s.Settings != agent.SettingsFailed || s.Problem == "" {
					t.Errorf("session: %+v", s)
				}
				wantValue(t, v, heating, 0)
				if a.called() != 1 {
					t.Errorf("fetched %d times", a.called())
				}
			})
		})
	}
}

func TestSettingsAPIIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, v, a := agenttest.NewBridge(t), vehicle.NewMemory(nil), annasAPI()
		a.set(nil, &settings.NetworkError{Err: errors.New("no route")})
		c := newCar(t, b, withVehicle(v, a))
		c.enter("Anna")
		time.Sleep(10 * time.Minute)
		if s := c.session(); s.Settings != agent.SettingsFetching || !strings.Contains(s.Problem, "no route") {
			t.Errorf("session: %+v", s)
		}
		if a.called() < 5 || a.called() > 12 {
			t.Errorf("fetched %d times in ten minutes", a.called())
		}
		a.set(annasSettings(), nil)
		time.Sleep(6 * time.Minute)
		wantValue(t, v, position, 320)
	})
}

func TestSettingsAPIRefuses(t *testing.T) {
	for status, want := range map[int]agent.SettingsState{
		401: agent.SettingsFailed, 403: agent.SettingsFailed, 404: agent.SettingsNone, 302: agent.SettingsFailed, 503: agent.SettingsFetching,
	} {
		synctest.Test(t, func(t *testing.T) {
			b, a := agenttest.NewBridge(t), annasAPI()
			a.set(nil, &settings.AnswerError{Status: status})
			c := newCar(t, b, withVehicle(vehicle.NewMemory(nil), a))
			c.enter("Anna")
			time.Sleep(time.Second)
			if s := c.session(); s.Settings != want {
				t.Errorf("%d: settings are %q, want %q", status, s.Settings, want)
			}
		})
	}
}

func TestTokenExpiresBeforeTheSettingsCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, a := agenttest.NewBridge(t), annasAPI()
		a.set(nil, &settings.NetworkError{Err: errors.New("no route")})
		c := newCar(t, b, withVehicle(vehicle.NewMemory(nil), a))
		c.enter("Anna")
		time.Sleep(time.Hour)
		if s := c.session(); s.Settings != agent.SettingsFailed || s.ExpiresIn != 0 {
			t.Errorf("session: %+v", s)
		}
		calls := a.called()
		time.Sleep(time.Hour)
		if a.called() != calls {
			t.Error("fetches without a token")
		}
	})
}

// The next driver's settings replace the last one's, and what only the last one
// had set comes back to what was there before both.
func TestTheNextDriversSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, v, a := agenttest.NewBridge(t), vehicle.NewMemory(nil), annasAPI()
		c := newCar(t, b, withVehicle(v, a))
		c.enter("Anna")
		a.set(settings.Values{position: vehicle.Number(200)}, nil)
		c.enter("Bela")
		time.Sleep(time.Second)
		wantValue(t, v, position, 200)
		wantValue(t, v, heating, 0)
		a.set(nil, &settings.AnswerError{Status: 500})
		c.enter("Chidi") // whose settings do not come: Bela's must go
		time.Sleep(time.Second)
		wantValue(t, v, position, 150)
		a.set(annasSettings(), nil)
		c.enter("Anna")
		time.Sleep(time.Second)
		wantValue(t, v, position, 320)
		if _, err := c.SignOut(t.Context(), agent.Target{All: true}); err != nil {
			t.Fatal(err)
		}
		wantValue(t, v, position, 150)
		wantValue(t, v, heating, 0)
		c.wantNoJournal()
	})
}

// The passenger sets the passenger's place.
func TestPassenger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, v := agenttest.NewBridge(t), vehicle.NewMemory(nil)
		c := newCar(t, b, withVehicle(v, annasAPI()))
		id, err := c.SignIn(t.Context(), agent.Request{Scope: "seat climate media", LoginHint: "bela@example.com", Seat: 3})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		b.Approve(id, "Bela")
		time.Sleep(time.Second)
		wantValue(t, v, position, 150)
		wantValue(t, v, strings.Replace(position, "DriverSide", "PassengerSide", 1), 320)
		wantValue(t, v, strings.Replace(temperature, "Driver", "Passenger", 1), 19.5)
		wantValue(t, v, volume, 20)
	})
}

func TestGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, v := agenttest.NewBridge(t), vehicle.NewMemory(nil)
		c := newCar(t, b, func(cfg *agent.Config) {
			withVehicle(v, annasAPI())(cfg)
			cfg.Guest = settings.Values{position: vehicle.Number(100), volume: vehicle.Number(5)}
		})
		time.Sleep(time.Second)
		wantValue(t, v, position, 100)
		wantValue(t, v, volume, 5)
		c.enter("Anna")
		wantValue(t, v, position, 320)
		wantValue(t, v, volume, 20) // as it was before anybody, guests included
		if _, err := c.SignOut(t.Context(), agent.Target{All: true}); err != nil {
			t.Fatal(err)
		}
		wantValue(t, v, position, 100)
		wantValue(t, v, heating, 0)
		_, err := agent.New(agent.Config{
			Certificate: c.cfg.Certificate, Roots: c.cfg.Roots, Publisher: b, Store: c.store, Logger: agenttest.Quiet(),
			Guest: settings.Values{position: vehicle.Number(-1)},
		})
		if err == nil || !strings.Contains(err.Error(), "guest") {
			t.Errorf("a wrong guest profile: %v", err)
		}
	})
}

// A vehicle that cannot take a value back at once is asked until it does.
func TestRestoringIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, v := agenttest.NewBridge(t), &stubborn{Memory: vehicle.NewMemory(nil)}
		c := newCar(t, b, withVehicle(v, annasAPI()))
		c.enter("Anna")
		v.refuse(position)
		if _, err := c.SignOut(t.Context(), agent.Target{All: true}); err != nil {
			t.Fatal(err)
		}
		wantValue(t, v.Memory, heating, 0)
		wantValue(t, v.Memory, position, 320)
		c.restart()
		time.Sleep(time.Minute)
		v.refuse("")
		time.Sleep(5 * time.Second)
		wantValue(t, v.Memory, position, 150)
		c.wantNoJournal()
	})
}
