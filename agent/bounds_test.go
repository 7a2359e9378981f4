package agent_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/schemas"
)

// However many sign-ins there were, the device remembers a bounded number, and
// the session that lasts is among them.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		first := c.enter("Anna")
		for i := range 100 {
			id, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", LoginHint: fmt.Sprint(i), Seat: 3})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			b.Refuse(id, schemas.AccessDenied)
			time.Sleep(time.Second)
		}
		for range 100 {
			b.Set(func(b *agenttest.Bridge) {
				b.Say(&schemas.Revoked{ID: schemas.NewID(), Sessions: []schemas.ID{schemas.NewID()}})
			})
			time.Sleep(time.Second)
		}
		s := c.Status()
		if len(s.SignIns) != 32 || s.SignIns[0].ID != first || len(s.Sessions) != 1 {
			t.Errorf("%d sign-ins, the first %v, %d sessions", len(s.SignIns), s.SignIns[0].ID, len(s.Sessions))
		}
		all, err := c.store.Load()
		if err != nil || len(all["state"]) > 16<<10 || len(all) > 2 {
			t.Errorf("%d records, state of %d bytes, %v", len(all), len(all["state"]), err)
		}
	})
}

// There is a limit to what is open, whatever it is.
func TestTooManyOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		time.Sleep(time.Second)
		b.Set(func(b *agenttest.Bridge) { b.Deaf = true })
		var err error
		opened := 0
		for range 100 {
			var id schemas.ID
			if id, err = c.SignIn(t.Context(), agent.Request{Scope: "seat", LoginHint: "a"}); err != nil {
				break
			}
			opened++
			time.Sleep(time.Second) // it is said
			if err := c.Cancel(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if !errors.Is(err, agent.ErrFull) || opened != 32 {
			t.Errorf("%d opened: %v", opened, err)
		}
		b.Set(func(b *agenttest.Bridge) { b.Deaf = false })
		time.Sleep(2 * time.Minute)
		if _, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", LoginHint: "a"}); err != nil {
			t.Errorf("when there is room again: %v", err)
		}
	})
}

// A sign-out that the bridge refuses for good is over.
func TestRefusedSignOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		c.enter("Anna")
		b.Set(func(b *agenttest.Bridge) {
			b.Answer = func(m schemas.Message) []schemas.Message {
				if m.Kind() == schemas.KindSignOut {
					return []schemas.Message{b.Refusal(m.RequestID(), schemas.UnknownSession)}
				}
				return b.Reply(m)
			}
		})
		if _, err := c.SignOut(t.Context(), agent.Target{All: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if n := len(b.Heard(schemas.KindSignOut)); n != 1 || c.records() != 0 {
			t.Errorf("said %d times, %d records", n, c.records())
		}
		if n := len(b.Heard(schemas.KindReceipt)); n != 2 {
			t.Errorf("%d receipts", n)
		}
		c.restart()
		out := b.Heard(schemas.KindSignOut)[0].Message.RequestID()
		b.Set(func(b *agenttest.Bridge) {
			b.Say(b.Refusal(out, schemas.UnknownSession))             // again
			b.Say(b.Refusal(schemas.NewID(), schemas.UnknownSession)) // of nothing
		})
		time.Sleep(time.Second)
		if n := len(b.Heard(schemas.KindReceipt)); n != 3 {
			t.Errorf("%d receipts, want one more for the duplicate", n)
		}
	})
}

// An end that cannot be stored is tried again, and not in a hurry.
func TestEndThatCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		disk := &mortal{Memory: new(outbox.Memory), left: -1}
		c := newCar(t, b, func(cfg *agent.Config) { cfg.Store = disk })
		id := c.signIn("anna@example.com")
		b.Set(func(b *agenttest.Bridge) { b.Deaf = true })
		disk.fill(true)
		time.Sleep(time.Hour)
		c.wantState(id, agent.StateRinging)
		disk.fill(false)
		time.Sleep(2 * time.Minute)
		c.wantState(id, agent.StateUnknown)
		if n := len(b.Heard(schemas.KindSignIn)); n > 100 {
			t.Errorf("said %d times in an hour", n)
		}
	})
}

// A bridge that answers a hello with clock_skew is believed, too.
func TestHelloMeetsClockSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		time.Sleep(time.Hour)
		wrongBy(10 * time.Minute)(&c.cfg)
		c.restart()
		skews := 0
		b.Set(func(b *agenttest.Bridge) {
			clear(b.Devices)
			b.Answer = func(m schemas.Message) []schemas.Message {
				if h, ok := m.(*schemas.Hello); ok && schemas.Fresh(h.IssuedAt, time.Now()) != nil {
					skews++
					return []schemas.Message{b.Refusal(h.ID, schemas.ClockSkew)}
				}
				return b.Reply(m)
			}
		})
		id := c.signIn("anna@example.com")
		time.Sleep(5 * time.Second)
		c.wantState(id, agent.StateRinging)
		b.Set(func(*agenttest.Bridge) {
			if skews != 1 {
				t.Errorf("%d times skewed", skews)
			}
		})
	})
}

// Somebody who signs in does not wait for the next turn of a hello that has
// long been unanswered.
func TestSignInHurriesTheHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		b.Deaf = true
		c := newCar(t, b, nil)
		time.Sleep(3*time.Hour + time.Minute)
		n := len(b.Heard(schemas.KindHello))
		if n < 15 || n > 30 {
			t.Errorf("%d hellos in three hours", n)
		}
		for len(b.Heard(schemas.KindHello)) == n { // the next but one is minutes away then
			time.Sleep(time.Second)
		}
		b.Set(func(b *agenttest.Bridge) { b.Deaf = false })
		c.wantState(c.signIn("anna@example.com"), agent.StateRinging)
	})
}
