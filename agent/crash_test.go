package agent_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/schemas"
)

// A mortal store dies at its n-th write, before or after it is durable. From
// then on nothing that the agent does has any effect.
type mortal struct {
	*outbox.Memory

	mu    sync.Mutex // guards the rest
	left  int        // writes to live; negative: for ever
	after bool       // the last write is durable
	dead  bool
	count int
}

var errDead = errors.New("killed")

func (m *mortal) write(do func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	m.count++
	if m.left == 0 {
		m.dead = true
		if m.after {
			_ = do()
		}
		return errDead
	}
	m.left--
	return do()
}

func (m *mortal) Put(name string, data []byte) error {
	return m.write(func() error { return m.Memory.Put(name, data) })
}

func (m *mortal) Delete(name string) error {
	return m.write(func() error { return m.Memory.Delete(name) })
}

func (m *mortal) isDead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// fill makes every write fail, or none.
func (m *mortal) fill(full bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = full
}

// A trip is a whole use of a car: somebody signs in, drives, and signs out. It
// goes on after a kill as a driver would.
type trip struct {
	*car
	disk *mortal
	v    *vehicle.Memory
}

// until waits for something to become true, and starts the agent anew when it
// has been killed.
func (x *trip) until(what string, ok func() bool) {
	x.t.Helper()
	for range 600 {
		synctest.Wait()
		if x.disk.isDead() {
			x.revive()
			continue
		}
		if ok() {
			return
		}
		time.Sleep(time.Second)
	}
	x.t.Fatalf("never: %s; status %+v", what, x.Status())
}

func (x *trip) revive() {
	x.stop()
	fresh := &mortal{Memory: x.disk.Memory, left: -1}
	x.disk, x.store, x.cfg.Store = fresh, fresh, fresh
	x.start()
}

// run makes the trip with a kill at the n-th write, and returns how many writes
// there were.
func (x *trip) run() int {
	first := x.disk
	var id schemas.ID
	x.until("signing in", func() bool {
		var err error
		if s := x.Status().SignIns; len(s) > 0 {
			id = s[len(s)-1].ID // begun before the kill
			return true
		}
		id, err = x.SignIn(x.t.Context(), agent.Request{Scope: "seat climate", LoginHint: "anna@example.com"})
		return err == nil
	})
	x.until("ringing", func() bool { return x.look(id).State == agent.StateRinging })
	x.b.Approve(id, "Anna")
	x.until("settings", func() bool {
		s := x.Status().Sessions
		return len(s) == 1 && s[0].ID == id && s[0].Settings == agent.SettingsApplied
	})
	wantValue(x.t, x.v, position, 320)
	x.until("receipt", func() bool { return x.b.Knows(id).Receipts > 0 })
	x.until("signing out", func() bool {
		_, err := x.SignOut(x.t.Context(), agent.Target{All: true})
		return err == nil && len(x.Status().Sessions) == 0
	})
	x.until("the bridge to know", func() bool {
		all := x.b.Heard(schemas.KindSignOut)
		return len(all) > 0 && x.b.Knows(all[0].Message.RequestID()).Receipts > 0 && x.records() == 0
	})
	x.until("the seat as before", func() bool {
		now, _ := x.v.Get(x.t.Context(), position)
		return now == vehicle.Number(150)
	})
	time.Sleep(time.Minute)
	x.wantNoJournal()
	if rings := x.b.Rings(); rings != 1 {
		x.t.Errorf("the phone rang %d times", rings)
	}
	if s := x.look(id); s.State != agent.StateGranted {
		x.t.Errorf("sign-in is %q", s.State)
	}
	return first.count
}

func newTrip(t *testing.T, left int, after bool) *trip {
	b, v := agenttest.NewBridge(t), vehicle.NewMemory(nil)
	disk := &mortal{Memory: new(outbox.Memory), left: left, after: after}
	x := &trip{disk: disk, v: v}
	x.car = newCar(t, b, func(cfg *agent.Config) {
		cfg.Vehicle, cfg.Settings, cfg.Store = v, annasAPI(), disk
	})
	b.Set(func(b *agenttest.Bridge) { b.Alive = func() bool { return !x.disk.isDead() } })
	return x
}

// Whatever write is the last one of a life, the trip goes on and ends as if
// nothing had happened: one ring, one session, one receipt, nothing left over.
func TestKilledAtEveryWrite(t *testing.T) {
	writes := 0
	synctest.Test(t, func(t *testing.T) { writes = newTrip(t, -1, false).run() })
	if writes < 10 {
		t.Fatalf("only %d writes", writes)
	}
	t.Logf("%d writes", writes)
	for n := range writes {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d,durable=%v", n, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { newTrip(t, n, after).run() })
			})
		}
	}
}

// A disk that takes nothing for a while: no sign-in begins that could be lost,
// and no grant is receipted that is not stored.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		disk := &mortal{Memory: new(outbox.Memory), left: -1}
		c := newCar(t, b, func(cfg *agent.Config) { cfg.Store = disk })
		id := c.signIn("anna@example.com")
		disk.fill(true)
		if _, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", LoginHint: "x", Seat: 3}); !errors.Is(err, agent.ErrStore) {
			t.Errorf("a sign-in that is not stored: %v", err)
		}
		b.Approve(id, "Anna")
		time.Sleep(20 * time.Second)
		c.wantSessions(0)
		if n := b.Knows(id).Receipts; n != 0 {
			t.Errorf("%d receipts for what is not stored", n)
		}
		disk.fill(false)
		time.Sleep(10 * time.Second)
		c.wantSessions(1)
		if n := b.Knows(id).Receipts; n != 1 {
			t.Errorf("%d receipts", n)
		}
		disk.fill(true)
		if _, err := c.SignOut(t.Context(), agent.Target{All: true}); !errors.Is(err, agent.ErrStore) {
			t.Errorf("a sign-out that is not stored: %v", err)
		}
		c.wantSessions(0) // all the same
	})
}
