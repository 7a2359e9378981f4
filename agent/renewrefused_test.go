package agent_test

import (
	"testing"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/schemas"
)

// refuseRenewals makes the bridge refuse renewals.
func (c *car) refuseRenewals(code schemas.Code, retry uint16) {
	c.b.Set(func(b *agenttest.Bridge) {
		b.Renewal = func(m *schemas.Renew) schemas.Message {
			refusal := b.Refusal(m.ID, code)
			refusal.RetryAfter = retry
			return refusal
		}
	})
}

// grantRenewals makes it grant them.
func (c *car) grantRenewals() { c.b.Set(func(b *agenttest.Bridge) { b.Renewal = nil }) }

// A failure that passes is waited out: the session stays, and another renewal
// follows.
func TestRenewalPutOff(t *testing.T) {
	for _, code := range []schemas.Code{schemas.ProviderUnavailable, schemas.ProviderError, schemas.TooManyRequests} {
		t.Run(code.String(), func(t *testing.T) {
			inCar(t, nil, func(t *testing.T, c *car, session schemas.ID) {
				c.refuseRenewals(code, 120)
				time.Sleep(30 * time.Minute)
				if s := c.session(); !s.Renewable || s.RingAgain || s.Code != 0 || s.ExpiresIn != 0 {
					t.Errorf("session %+v", s)
				}
				ids := map[schemas.ID]time.Time{}
				var last time.Time
				for _, r := range c.b.Heard(schemas.KindRenew) {
					if _, again := ids[r.Message.RequestID()]; again {
						t.Error("a renewal that was refused is said again")
					}
					if gap := r.At.Sub(last); !last.IsZero() && gap < 2*time.Minute {
						t.Errorf("asked again after %v", gap)
					}
					ids[r.Message.RequestID()], last = r.At, r.At
				}
				if len(ids) < 4 {
					t.Errorf("%d renewals", len(ids))
				}
				c.grantRenewals()
				time.Sleep(16 * time.Minute)
				if _, _, err := c.Token(t.Context(), session); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A bridge that says "soon" again and again is asked ever more seldom.
func TestRenewalBacksOff(t *testing.T) {
	inCar(t, nil, func(t *testing.T, c *car, _ schemas.ID) {
		c.refuseRenewals(schemas.ProviderUnavailable, 1)
		time.Sleep(24 * time.Hour)
		if n := len(c.b.Heard(schemas.KindRenew)); n < 90 || n > 140 {
			t.Errorf("%d renewals in a day", n)
		}
	})
}

// A refusal for good that comes when the token is gone ends the session at once.
func TestRenewalRefusedLate(t *testing.T) {
	inCar(t, nil, func(t *testing.T, c *car, _ schemas.ID) {
		c.refuseRenewals(schemas.UnknownSession, 0)
		c.Disconnected(nil)
		time.Sleep(time.Hour)
		c.wantSessions(1)
		c.Connected()
		time.Sleep(time.Second)
		c.wantSessions(0)
	})
}

// Busy ends nothing: the same request is said again when it was told to.
func TestRenewalBusy(t *testing.T) {
	inCar(t, nil, func(t *testing.T, c *car, session schemas.ID) {
		n := 0
		c.b.Set(func(b *agenttest.Bridge) {
			b.Answer = func(m schemas.Message) []schemas.Message {
				if n++; m.Kind() == schemas.KindRenew && n <= 2 {
					busy := b.Refusal(m.RequestID(), schemas.Busy)
					busy.RetryAfter = 10
					return []schemas.Message{busy}
				}
				return b.Reply(m)
			}
		})
		time.Sleep(13 * time.Minute)
		c.wantToken(session, 1)
		all := c.b.Heard(schemas.KindRenew)
		if len(all) != 3 || all[0].Message.RequestID() != all[2].Message.RequestID() || all[1].At.Sub(all[0].At) < 10*time.Second {
			t.Errorf("said %+v", all)
		}
	})
}

// A refusal for good leaves the session its token and tells the screen; with the
// token it ends, here and at the bridge.
func TestRenewalRefused(t *testing.T) {
	for _, code := range []schemas.Code{schemas.UnknownSession, schemas.Interrupted, schemas.NotAllowed, schemas.WrongPerson, schemas.ProviderError} {
		t.Run(code.String(), func(t *testing.T) {
			v := vehicle.NewMemory(nil)
			inCar(t, func(cfg *agent.Config) { cfg.Vehicle, cfg.Settings = v, annasAPI() }, func(t *testing.T, c *car, session schemas.ID) {
				wantValue(t, v, position, 320)
				events := c.Watch(t.Context())
				c.refuseRenewals(code, 0)
				time.Sleep(13 * time.Minute)
				c.wantToken(session, 0)
				if s := c.session(); s.Renewable || !s.RingAgain || s.Code != code {
					t.Errorf("session %+v", s)
				}
				if n := len(c.b.Heard(schemas.KindRenew)); n != 1 {
					t.Errorf("said %d times", n)
				}
				c.restart()
				wantValue(t, v, position, 320)
				time.Sleep(3 * time.Minute)
				c.wantSessions(0)
				wantValue(t, v, position, 150)
				outs := c.b.Heard(schemas.KindSignOut)
				if len(outs) != 1 || outs[0].Message.(*schemas.SignOut).Sessions[0] != session {
					t.Errorf("sign-outs %+v", outs)
				}
				told := false
				for len(events) > 0 {
					e := <-events
					told = told || e.Session != nil && e.Session.RingAgain && e.Session.Code == code
				}
				if !told {
					t.Error("the screen is not told")
				}
			})
		})
	}
}

// A person who is rung again in time keeps the seat.
func TestRungAgain(t *testing.T) {
	inCar(t, nil, func(t *testing.T, c *car, _ schemas.ID) {
		c.refuseRenewals(schemas.UnknownSession, 0)
		time.Sleep(12 * time.Minute)
		id, err := c.SignIn(t.Context(), agent.Request{Scope: "seat climate", Person: "Anna"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		c.b.Approve(id, "")
		time.Sleep(time.Second)
		c.grantRenewals()
		time.Sleep(time.Hour)
		if s := c.session(); s.ID != id || !s.Renewable || s.RingAgain {
			t.Errorf("session %+v", s)
		}
	})
}

// The last token that a session's life permits is the last, and the screen knows.
func TestLastToken(t *testing.T) {
	inCar(t, nil, func(t *testing.T, c *car, session schemas.ID) {
		c.b.Set(func(b *agenttest.Bridge) { b.Renewable = false })
		time.Sleep(12 * time.Minute)
		c.wantToken(session, 1)
		if s := c.session(); s.Renewable || !s.RingAgain || s.Code != 0 {
			t.Errorf("session %+v", s)
		}
		time.Sleep(16 * time.Minute)
		c.wantSessions(0)
	})
}
