package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/schemas"
)

func wrongBy(off time.Duration) func(*agent.Config) {
	return func(cfg *agent.Config) { cfg.Clock = func() time.Time { return time.Now().Add(off) } }
}

func TestWrongClocks(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for name, off := range map[string]time.Duration{
		"1970": -30 * year, "a day late": -24 * time.Hour, "six minutes late": -6 * time.Minute,
		"two minutes ahead": 2 * time.Minute, "a year ahead": year,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := agenttest.NewBridge(t)
				c := newCar(t, b, wrongBy(off))
				id := c.signIn("anna@example.com")
				c.wantState(id, agent.StateRinging)
				if n := len(b.Heard(schemas.KindSignIn)); n > 2 {
					t.Errorf("said %d times", n)
				}
				if d := time.Until(c.Now()); d < -time.Minute {
					t.Errorf("the time for certificates is off by %v", d)
				}
				b.Refuse(id, schemas.AccessDenied)
				time.Sleep(time.Hour)

				// What was learned survives a restart.
				c.restart()
				time.Sleep(time.Second)
				n := len(b.Heard(schemas.KindSignIn))
				c.wantState(c.signIn("bela@example.com"), agent.StateRinging)
				if more := len(b.Heard(schemas.KindSignIn)) - n; more != 1 {
					t.Errorf("said %d times after the restart", more)
				}
			})
		})
	}
}

// The bridge's word of the time counts once. A copy of it that comes later
// would set the clock back.
func TestReplayedClockSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		time.Sleep(time.Second)
		wrongBy(10 * time.Minute)(&c.cfg)
		c.restart()
		time.Sleep(time.Second)
		var copies []schemas.Message
		b.Set(func(b *agenttest.Bridge) {
			b.Answer = func(m schemas.Message) []schemas.Message {
				if m.Kind() == schemas.KindSignIn && copies != nil {
					return nil
				}
				out := b.Reply(m)
				for _, m := range out {
					if r, ok := m.(*schemas.Refused); ok && r.Code == schemas.ClockSkew {
						copies = out
					}
				}
				return out
			}
		})
		id := c.signIn("anna@example.com")
		before := len(b.Heard(schemas.KindSignIn))
		time.Sleep(30 * time.Second)
		for range 100 {
			b.Set(func(b *agenttest.Bridge) { b.Say(copies[0]) })
		}
		time.Sleep(time.Second)
		c.wantState(id, agent.StateSending)
		for _, s := range b.Heard(schemas.KindSignIn)[before:] {
			if err := schemas.Fresh(s.Message.(*schemas.SignIn).IssuedAt, s.At); err != nil {
				t.Error(err)
			}
		}
		if n := len(b.Heard(schemas.KindSignIn)); n > 8 {
			t.Errorf("said %d times", n)
		}
	})
}

// A bridge that is never content with the time must not make the device shout.
func TestEndlessClockSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		time.Sleep(time.Second)
		b.Set(func(b *agenttest.Bridge) {
			b.Answer = func(m schemas.Message) []schemas.Message {
				if m.Kind() == schemas.KindSignIn {
					return []schemas.Message{b.Refusal(m.RequestID(), schemas.ClockSkew)}
				}
				return b.Reply(m)
			}
		})
		id := c.signIn("anna@example.com")
		time.Sleep(4 * time.Minute)
		if n := len(b.Heard(schemas.KindSignIn)); n > 12 {
			t.Errorf("said %d times in four minutes", n)
		}
		time.Sleep(5 * time.Minute)
		if s := c.look(id); !s.State.Final() {
			t.Errorf("still %q", s.State)
		}
	})
}

// An old sign-in is not rung when the vehicle comes back after a week, whatever
// its clock says then.
func TestOldRequestIsNotRung(t *testing.T) {
	for name, off := range map[string]time.Duration{"good clock": 0, "clock of 1970": -37 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := agenttest.NewBridge(t)
				store := new(outbox.Memory)
				c := newCar(t, b, func(cfg *agent.Config) { cfg.Store = store })
				time.Sleep(time.Second)
				c.Disconnected(nil)
				id := c.signIn("anna@example.com")
				c.stop()
				time.Sleep(7 * 24 * time.Hour)
				wrongBy(off)(&c.cfg)
				c.start()
				time.Sleep(10 * time.Minute)
				if n := b.Knows(id).Rings; n != 0 {
					t.Errorf("the phone rang %d times, a week late", n)
				}
				if s := c.look(id); !s.State.Final() {
					t.Errorf("still %q", s.State)
				}
			})
		})
	}
}
