package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/schemas"
)

// pauses returns the times between messages.
func pauses(all []agenttest.Heard) (d []time.Duration) {
	for i := 1; i < len(all); i++ {
		d = append(d, all[i].At.Sub(all[i-1].At))
	}
	return d
}

func TestRepeatsWithBackoffUntilAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		time.Sleep(time.Second)
		b.Set(func(b *agenttest.Bridge) { b.Deaf = true })
		id, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", LoginHint: "anna@example.com", Expiry: 20 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Minute)
		all := b.Heard(schemas.KindSignIn)
		if len(all) < 15 || len(all) > 25 {
			t.Errorf("said %d times in 15 minutes", len(all))
		}
		want := 2 * time.Second
		different := map[time.Duration]bool{}
		for i, d := range pauses(all) {
			if d < want*4/5 || d > want*6/5 {
				t.Errorf("pause %d is %v, want %v and a fifth more or less", i, d, want)
			}
			different[d] = true
			want = min(2*want, time.Minute)
		}
		if len(different) < len(all)/2 {
			t.Error("no jitter")
		}
		for _, s := range all {
			m := s.Message.(*schemas.SignIn)
			if m.ID != id {
				t.Errorf("id %v, want %v", m.ID, id)
			}
			if err := schemas.Fresh(m.IssuedAt, s.At); err != nil {
				t.Errorf("said at %v: %v", s.At, err)
			}
		}
		if all[0].Message.(*schemas.SignIn).IssuedAt != all[4].Message.(*schemas.SignIn).IssuedAt {
			t.Error("signed again without need")
		}
		b.Set(func(b *agenttest.Bridge) { b.Deaf = false })
		time.Sleep(2 * time.Minute)
		c.wantState(id, agent.StateRinging)
		if n := b.Knows(id).Rings; n != 1 {
			t.Errorf("the phone rang %d times", n)
		}
	})
}

// While the phone rings the radio is silent; after the expiry the agent asks a
// few times, and then gives up.
func TestSilentWhileRinging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		time.Sleep(118 * time.Second)
		if n := len(b.Heard(schemas.KindSignIn)); n != 1 {
			t.Fatalf("said %d times while ringing", n)
		}
		b.Set(func(b *agenttest.Bridge) { b.Deaf = true })
		time.Sleep(20 * time.Second)
		c.wantState(id, agent.StateRinging)
		if n := len(b.Heard(schemas.KindSignIn)); n < 3 || n > 6 {
			t.Errorf("said %d times around the expiry", n)
		}
		time.Sleep(2 * time.Minute)
		c.wantState(id, agent.StateUnknown)
		n := len(b.Heard(schemas.KindSignIn))
		time.Sleep(time.Hour)
		if more := len(b.Heard(schemas.KindSignIn)); more != n || c.records() != 0 {
			t.Errorf("said %d times after giving up, %d records", more-n, c.records())
		}
	})
}

func TestRingsOnIfTheBridgeSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		b.Set(func(b *agenttest.Bridge) { b.ExpiresIn = 30 })
		time.Sleep(130 * time.Second) // asked at 123 s, and told 30 s more
		c.wantState(id, agent.StateRinging)
		if s := c.look(id); s.ExpiresIn == 0 || s.ExpiresIn > 30*time.Second {
			t.Errorf("rings %v more", s.ExpiresIn)
		}
		b.Refuse(id, schemas.AccessDenied)
		time.Sleep(time.Second)
		c.wantState(id, agent.StateRefused)
		if s := c.look(id); s.Code != schemas.AccessDenied {
			t.Errorf("refused with %v", s.Code)
		}
		if n := b.Knows(id).Receipts; n != 1 {
			t.Errorf("%d receipts for the refusal", n)
		}
	})
}

func TestRepeatsAtOnceAfterAReconnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		for range 3 {
			c.Disconnected(nil)
			time.Sleep(10 * time.Second)
			n := len(b.Heard(schemas.KindSignIn))
			c.Connected()
			time.Sleep(2 * agenttest.Travel)
			if more := len(b.Heard(schemas.KindSignIn)) - n; more != 1 {
				t.Fatalf("said %d times at once", more)
			}
			time.Sleep(20 * time.Second)
			if more := len(b.Heard(schemas.KindSignIn)) - n; more != 1 {
				t.Fatalf("said %d times", more)
			}
		}
		// Once, also when the answer is lost: the phone is known to ring.
		b.Set(func(b *agenttest.Bridge) { b.Deaf = true })
		n := len(b.Heard(schemas.KindSignIn))
		c.Disconnected(nil)
		time.Sleep(time.Second)
		c.Connected()
		time.Sleep(10 * time.Second)
		if more := len(b.Heard(schemas.KindSignIn)) - n; more != 1 {
			t.Errorf("said %d times to a deaf bridge", more)
		}
		b.Set(func(b *agenttest.Bridge) { b.Deaf = false })
		// The link goes down and up before the agent has looked.
		n = len(b.Heard(schemas.KindSignIn))
		c.Disconnected(nil)
		c.Connected()
		time.Sleep(2 * agenttest.Travel)
		if more := len(b.Heard(schemas.KindSignIn)) - n; more != 1 {
			t.Errorf("said %d times after a short interruption", more)
		}
		c.wantState(id, agent.StateRinging)
		if n := b.Knows(id).Rings; n != 1 {
			t.Errorf("the phone rang %d times", n)
		}
	})
}

// The text on the phone is not stored: after a restart it is asked for as soon
// as there is a connection, and not again once it is known.
func TestRepeatsAtOnceAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		for range 3 {
			n := len(b.Heard(schemas.KindSignIn))
			c.restart()
			time.Sleep(3 * agenttest.Travel)
			c.wantState(id, agent.StateRinging)
			if s := c.look(id); s.Binding == "" {
				t.Error("no binding message right after a restart")
			}
			time.Sleep(20 * time.Second)
			if more := len(b.Heard(schemas.KindSignIn)) - n; more != 1 {
				t.Errorf("said %d times after a restart", more)
			}
		}
		if n := b.Knows(id).Rings; n != 1 {
			t.Errorf("the phone rang %d times", n)
		}
	})
}

func TestNeverSentIsUnsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		time.Sleep(time.Second)
		c.Disconnected(nil)
		id := c.signIn("anna@example.com")
		c.wantState(id, agent.StateSending)
		time.Sleep(5 * time.Minute)
		c.wantState(id, agent.StateUnsent)
		c.Connected()
		time.Sleep(time.Hour)
		if n := len(b.Heard(schemas.KindSignIn)) + len(b.Heard(schemas.KindCancel)); n != 0 {
			t.Errorf("%d messages about it after all", n)
		}
	})
}

// A request that no bridge may have is withdrawn rather than rung late.
func TestUnansweredIsWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		time.Sleep(time.Second)
		b.Set(func(b *agenttest.Bridge) { b.Deaf = true })
		id := c.signIn("anna@example.com")
		time.Sleep(5*time.Minute + 10*time.Second)
		b.Set(func(b *agenttest.Bridge) { b.Deaf = false })
		time.Sleep(time.Minute)
		c.wantState(id, agent.StateCancelled)
		if n := b.Knows(id).Rings; n != 0 {
			t.Errorf("the phone rang %d times, five minutes late", n)
		}
	})
}

func TestBusyIsRepeatedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		time.Sleep(time.Second)
		busy := 2
		b.Set(func(b *agenttest.Bridge) {
			b.Answer = func(m schemas.Message) []schemas.Message {
				if m.Kind() == schemas.KindSignIn && busy > 0 {
					busy--
					r := b.Refusal(m.RequestID(), schemas.Busy)
					r.RetryAfter = 30
					return []schemas.Message{r}
				}
				return b.Reply(m)
			}
		})
		id := c.signIn("anna@example.com")
		time.Sleep(3 * time.Minute)
		c.wantState(id, agent.StateRinging)
		for _, d := range pauses(b.Heard(schemas.KindSignIn)) {
			if d < 30*time.Second || d > time.Minute {
				t.Errorf("repeated after %v, told 30 s", d)
			}
		}
	})
}

func TestLostAnswers(t *testing.T) {
	for _, kind := range []schemas.Kind{schemas.KindPending, schemas.KindGranted, schemas.KindWelcome} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := agenttest.NewBridge(t)
				lost := 0
				b.Lose = func(m schemas.Message) bool {
					if m.Kind() == kind && lost == 0 {
						lost++
						return true
					}
					return false
				}
				c := newCar(t, b, nil)
				id := c.signIn("anna@example.com")
				time.Sleep(9 * time.Second)
				c.wantState(id, agent.StateRinging)
				b.Approve(id, "Anna")
				time.Sleep(9 * time.Second)
				c.wantState(id, agent.StateGranted)
				r := b.Knows(id)
				b.Set(func(*agenttest.Bridge) {
					if lost != 1 || r.Rings != 1 || r.Receipts != 1 {
						t.Errorf("lost %d, rang %d, receipts %d", lost, r.Rings, r.Receipts)
					}
				})
			})
		})
	}
}

// A grant that comes again, because its receipt was lost, is receipted again
// and changes nothing.
func TestDuplicateGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		ignored := 0
		b.Set(func(b *agenttest.Bridge) {
			b.Answer = func(m schemas.Message) []schemas.Message {
				if m.Kind() == schemas.KindReceipt && ignored < 3 {
					ignored++
					return nil
				}
				return b.Reply(m)
			}
		})
		events := c.Watch(t.Context())
		b.Approve(id, "Anna")
		time.Sleep(time.Second)
		c.restart()
		time.Sleep(time.Minute)
		taken := b.Knows(id).Receipts
		b.Set(func(*agenttest.Bridge) {
			if ignored != 3 || taken != 1 {
				t.Errorf("%d receipts ignored, %d taken", ignored, taken)
			}
		})
		c.wantSessions(1)
		begun := 0
		for e := range events {
			if e.SignIn != nil && e.SignIn.State == agent.StateGranted {
				begun++
			}
		}
		if begun != 1 {
			t.Errorf("granted %d times", begun)
		}
	})
}
