package agent_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/schemas"
)

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		b.Set(func(b *agenttest.Bridge) { b.Deaf = true })
		if err := c.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		c.wantState(id, agent.StateCancelling)
		// Somebody else may be rung for the seat meanwhile.
		if _, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", LoginHint: "bela@example.com"}); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Second)
		c.restart()
		time.Sleep(10 * time.Second)
		c.wantState(id, agent.StateCancelling)
		if n := len(b.Heard(schemas.KindCancel)); n < 4 {
			t.Errorf("said %d times in half a minute", n)
		}
		b.Set(func(b *agenttest.Bridge) { b.Deaf = false })
		time.Sleep(time.Minute)
		c.wantState(id, agent.StateCancelled)
		if n := b.Knows(id).Receipts; n != 1 {
			t.Errorf("%d receipts", n)
		}
		if err := c.Cancel(t.Context(), id); !errors.Is(err, agent.ErrOver) {
			t.Errorf("cancelling again: %v", err)
		}
		if err := c.Cancel(t.Context(), schemas.NewID()); !errors.Is(err, agent.ErrUnknown) {
			t.Errorf("cancelling nothing: %v", err)
		}
	})
}

// What was never sent is cancelled without a word.
func TestCancelUnsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		time.Sleep(time.Second)
		c.Disconnected(nil)
		id := c.signIn("anna@example.com")
		if err := c.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		c.wantState(id, agent.StateCancelled)
		c.Connected()
		time.Sleep(time.Minute)
		if n := len(b.Heard(schemas.KindSignIn)) + len(b.Heard(schemas.KindCancel)); n != 0 {
			t.Errorf("%d messages", n)
		}
	})
}

// The tap and the cancel cross: nobody is signed in, and the bridge is told to
// end the session that the grant began.
func TestGrantAfterCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		b.Approve(id, "Anna") // on its way
		if err := c.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		c.wantState(id, agent.StateCancelled)
		c.wantSessions(0)
		c.wantSignedOut(id)
	})
}

// wantSignedOut wants the bridge to have been told, once, and to be content.
func (c *car) wantSignedOut(id schemas.ID) {
	c.t.Helper()
	outs := c.b.Heard(schemas.KindSignOut)
	if len(outs) != 1 || len(outs[0].Message.(*schemas.SignOut).Sessions) != 1 || outs[0].Message.(*schemas.SignOut).Sessions[0] != id {
		c.t.Errorf("sign-outs: %+v", outs)
	}
	if n := c.b.Knows(id).Receipts; n != 1 {
		c.t.Errorf("%d receipts for the grant", n)
	}
	if n := c.records(); n != 0 {
		c.t.Errorf("%d records are left", n)
	}
}

// The grant comes when everybody has given up.
func TestLateGrant(t *testing.T) {
	for _, forgotten := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := agenttest.NewBridge(t)
			store := new(outbox.Memory)
			c := newCar(t, b, func(cfg *agent.Config) { cfg.Store = store })
			id := c.signIn("anna@example.com")
			b.Set(func(b *agenttest.Bridge) { b.Lose = func(m schemas.Message) bool { return true } })
			b.Approve(id, "Anna")
			time.Sleep(5 * time.Minute)
			c.wantState(id, agent.StateUnknown)
			if forgotten {
				c.stop()
				if err := store.Delete("state"); err != nil {
					t.Fatal(err)
				}
				c.start()
			}
			b.Set(func(b *agenttest.Bridge) { b.Lose = nil })
			time.Sleep(time.Minute)
			c.wantSessions(0)
			c.wantSignedOut(id)
		})
	}
}

// A grant that does not open ends the sign-in instead of hanging it.
func TestGrantThatDoesNotOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		other, err := schemas.GenerateSealKey()
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := schemas.SealGrant(other.Public(), agenttest.DeviceID, id, schemas.Grant{AccessToken: []byte("x"), ExpiresIn: 60, Person: schemas.NewHandle()})
		if err != nil {
			t.Fatal(err)
		}
		b.Set(func(b *agenttest.Bridge) {
			for _, m := range b.Finally(&schemas.Granted{ID: id, Sealed: sealed}) {
				b.Say(m)
			}
		})
		time.Sleep(time.Minute)
		c.wantState(id, agent.StateUnknown)
		c.wantSignedOut(id)
	})
}

func TestOneSignInPerSeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		c.signIn("anna@example.com")
		_, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", LoginHint: "bela@example.com", Seat: 1})
		if !errors.Is(err, agent.ErrOpen) {
			t.Errorf("two for one seat: %v", err)
		}
		if _, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", LoginHint: "bela@example.com", Seat: 3}); err != nil {
			t.Errorf("the passenger: %v", err)
		}
	})
}

func TestBadRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		for name, r := range map[string]agent.Request{
			"nobody":          {Scope: "seat"},
			"two hints":       {Scope: "seat", LoginHint: "a", IDTokenHint: "b"},
			"no scope":        {LoginHint: "a"},
			"odd scope":       {Scope: "seat  climate", LoginHint: "a"},
			"odd expiry":      {Scope: "seat", LoginHint: "a", Expiry: time.Millisecond},
			"negative expiry": {Scope: "seat", LoginHint: "a", Expiry: -time.Second},
			"a day":           {Scope: "seat", LoginHint: "a", Expiry: 24 * time.Hour},
			"no such seat":    {Scope: "seat", LoginHint: "a", Seat: 13},
			"control in hint": {Scope: "seat", LoginHint: "a\n"},
			"long purpose":    {Scope: "seat", LoginHint: "a", Purpose: string(make([]byte, 129))},
			"control in acr":  {Scope: "seat", LoginHint: "a", ACR: "\x00"},
		} {
			if _, err := c.SignIn(t.Context(), r); !errors.Is(err, agent.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, who := range []string{"Anna", "1", "-1"} {
			if _, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", Person: who}); !errors.Is(err, agent.ErrUnknown) {
				t.Errorf("person %q: %v", who, err)
			}
		}
		for name, x := range map[string]agent.Target{"nothing": {}, "two": {All: true, Seat: 1}} {
			if _, err := c.SignOut(t.Context(), x); !errors.Is(err, agent.ErrInvalid) {
				t.Errorf("sign-out of %s: %v", name, err)
			}
		}
		for name, x := range map[string]agent.Target{"session": {Session: schemas.NewID()}, "seat": {Seat: 1}, "person": {Person: "Anna"}} {
			if _, err := c.SignOut(t.Context(), x); !errors.Is(err, agent.ErrUnknown) {
				t.Errorf("sign-out of an unknown %s: %v", name, err)
			}
		}
		if n := c.records(); n != 0 {
			t.Errorf("%d records", n)
		}
	})
}
