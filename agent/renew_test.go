package agent_test

import (
	"bytes"
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

// inCar runs a test in which Anna is signed in for as long as her session is
// renewed. Tokens live 15 minutes.
func inCar(t *testing.T, change func(*agent.Config), test func(t *testing.T, c *car, session schemas.ID)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		b.Set(func(b *agenttest.Bridge) { b.Renewable, b.Life = true, 900 })
		c := newCar(t, b, change)
		test(t, c, c.enter("Anna"))
	})
}

// wantToken checks which of the tokens that the bridge has granted is in use.
func (c *car) wantToken(session schemas.ID, n int) {
	c.t.Helper()
	synctest.Wait()
	token, left, err := c.Token(c.t.Context(), session)
	if err != nil || !bytes.Equal(token.Access, agenttest.Token(n)) || left <= 0 {
		c.t.Errorf("token %.4q for %v, %v; want %.4q", token.Access, left, err, agenttest.Token(n))
	}
}

// At about two thirds of its life each token is followed by another, for as long
// as it takes, and nobody is rung.
func TestRenew(t *testing.T) {
	inCar(t, nil, func(t *testing.T, c *car, session schemas.ID) {
		events := c.Watch(t.Context())
		time.Sleep(8 * time.Hour)
		c.wantToken(session, c.b.Tokens-1)
		renewals := c.b.Heard(schemas.KindRenew)
		if n := len(renewals); n < 45 || n > 55 { // each 9 to 10.5 minutes
			t.Errorf("%d renewals in 8 hours", n)
		}
		for i, r := range renewals {
			m := r.Message.(*schemas.Renew)
			if k := c.b.Knows(m.ID); m.Session != session || k.Receipts != 1 {
				t.Errorf("renewal %d of session %v, %d receipts", i, m.Session, k.Receipts)
			}
			if i > 0 {
				if gap := r.At.Sub(renewals[i-1].At); gap < 9*time.Minute || gap > 11*time.Minute {
					t.Errorf("renewal %d after %v", i, gap)
				}
			}
		}
		if s := c.session(); !s.Renewable || s.RingAgain || s.Name != "Anna" || s.Scope != "seat climate" {
			t.Errorf("session %+v", s)
		}
		if n, left := c.b.Rings(), c.records(); n != 1 || left != 0 {
			t.Errorf("%d rings, %d records", n, left)
		}
		told := 0
		for len(events) > 0 {
			if e := <-events; e.Session != nil && e.Session.ID == session && e.Session.ExpiresIn == 15*time.Minute {
				told++
			}
		}
		if told == 0 {
			t.Error("the screen is not told")
		}
		// The handle is that of the last renewal.
		id, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", Person: "Anna"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		c.wantState(id, agent.StateRinging)
		if people := c.Status().People; len(people) != 1 {
			t.Errorf("people %+v", people)
		}
	})
}

// A renewal that finds nobody is repeated with the same id, over restarts, and
// the old token is used until it ends. Its end signs nobody out.
func TestRenewIsRepeated(t *testing.T) {
	inCar(t, nil, func(t *testing.T, c *car, session schemas.ID) {
		c.b.Set(func(b *agenttest.Bridge) { b.Deaf = true })
		time.Sleep(12 * time.Minute)
		c.wantToken(session, 0)
		c.restart()
		time.Sleep(2 * time.Minute)
		c.wantToken(session, 0)
		time.Sleep(10 * time.Minute)
		if s := c.session(); s.ExpiresIn != 0 || !s.Renewable || s.RingAgain {
			t.Errorf("session %+v", s)
		}
		if _, _, err := c.Token(t.Context(), session); !errors.Is(err, agent.ErrUnknown) {
			t.Errorf("token: %v", err)
		}
		c.restart()
		time.Sleep(time.Minute)
		all := c.b.Heard(schemas.KindRenew)
		if len(all) < 5 {
			t.Fatalf("said %d times", len(all))
		}
		for _, r := range all {
			if r.Message.RequestID() != all[0].Message.RequestID() {
				t.Fatal("two renewals at once")
			}
		}
		c.b.Set(func(b *agenttest.Bridge) { b.Deaf = false })
		time.Sleep(2 * time.Minute)
		c.wantToken(session, 1)
	})
}

// A car that was parked for a week renews when it wakes, within seconds.
func TestRenewAfterSleep(t *testing.T) {
	inCar(t, nil, func(t *testing.T, c *car, session schemas.ID) {
		c.stop()
		time.Sleep(7 * 24 * time.Hour)
		c.start()
		time.Sleep(12 * time.Second)
		c.wantToken(session, 1)
		if n := c.b.Rings(); n != 1 {
			t.Errorf("%d rings", n)
		}
	})
}

// An answer that comes twice, or in the middle of a crash, counts once.
func TestRenewedTwice(t *testing.T) {
	inCar(t, nil, func(t *testing.T, c *car, session schemas.ID) {
		var grant schemas.Message
		c.b.Set(func(b *agenttest.Bridge) {
			b.Lose = func(m schemas.Message) bool {
				if m.Kind() == schemas.KindGranted {
					grant = m
				}
				return false
			}
		})
		time.Sleep(11 * time.Minute)
		c.wantToken(session, 1)
		c.restart()
		c.b.Set(func(b *agenttest.Bridge) { b.Say(grant) })
		time.Sleep(time.Second)
		c.wantToken(session, 1)
		if n := c.b.Knows(grant.RequestID()).Receipts; n != 2 {
			t.Errorf("%d receipts", n)
		}
		if n := len(c.b.Heard(schemas.KindSignOut)); n != 0 {
			t.Errorf("%d sign-outs", n)
		}
	})
}

// A disk that takes nothing for a while costs no token: the grant comes again.
func TestRenewDiskFull(t *testing.T) {
	disk := &mortal{Memory: new(outbox.Memory), left: -1}
	inCar(t, func(cfg *agent.Config) { cfg.Store = disk }, func(t *testing.T, c *car, session schemas.ID) {
		disk.fill(true)
		time.Sleep(11 * time.Minute)
		c.wantToken(session, 0)
		disk.fill(false)
		time.Sleep(3 * time.Minute)
		c.wantToken(session, 1)
	})
}

// renew makes a trip on which tokens live two minutes, until three have come,
// with a kill at some write on the way. It returns how many writes there were.
func (x *trip) renew() int {
	first := x.disk
	x.b.Set(func(b *agenttest.Bridge) { b.Renewable, b.Life = true, 120 })
	var id schemas.ID
	x.until("signing in", func() bool {
		if s := x.Status().SignIns; len(s) > 0 {
			id = s[len(s)-1].ID // begun before the kill
			return true
		}
		var err error
		id, err = x.SignIn(x.t.Context(), agent.Request{Scope: "seat climate", LoginHint: "anna@example.com"})
		return err == nil
	})
	x.until("ringing", func() bool { return x.look(id).State == agent.StateRinging })
	x.b.Approve(id, "Anna")
	for n := range 3 {
		x.until("the next token", func() bool {
			token, _, err := x.Token(x.t.Context(), id)
			return err == nil && bytes.Equal(token.Access, agenttest.Token(n))
		})
	}
	x.until("receipts", func() bool {
		for _, r := range x.b.Heard(schemas.KindRenew) {
			if x.b.Knows(r.Message.RequestID()).Receipts == 0 {
				return false
			}
		}
		return x.records() == 0
	})
	if s := x.session(); s.ID != id || !s.Renewable || s.Settings != agent.SettingsApplied {
		x.t.Errorf("session %+v", s)
	}
	if outs := x.b.Heard(schemas.KindSignOut); len(outs) > 0 || x.b.Rings() != 1 || len(x.Status().People) != 1 {
		x.t.Errorf("%d sign-outs, %d rings, people %+v", len(outs), x.b.Rings(), x.Status().People)
	}
	return first.count
}

// Whatever write is the last one of a life, no token is lost, nobody is rung, and
// nobody is signed out.
func TestKilledAtEveryWriteOfRenewals(t *testing.T) {
	writes := 0
	synctest.Test(t, func(t *testing.T) { writes = newTrip(t, -1, false).renew() })
	if writes < 12 {
		t.Fatalf("only %d writes", writes)
	}
	for n := range writes {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d,durable=%v", n, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { newTrip(t, n, after).renew() })
			})
		}
	}
}
