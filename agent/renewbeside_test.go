package agent_test

import (
	"testing"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/schemas"
)

// Whoever signs out while a renewal is on its way is signed out, and is known by
// the handle that it brings.
func TestSignOutDuringRenewal(t *testing.T) {
	inCar(t, nil, func(t *testing.T, c *car, session schemas.ID) {
		c.b.Set(func(b *agenttest.Bridge) {
			b.Lose = func(m schemas.Message) bool { return m.Kind() == schemas.KindGranted }
		})
		time.Sleep(11 * time.Minute)
		if n := len(c.b.Heard(schemas.KindRenew)); n == 0 {
			t.Fatal("nothing was renewed")
		}
		if _, err := c.SignOut(t.Context(), agent.Target{All: true}); err != nil {
			t.Fatal(err)
		}
		c.b.Set(func(b *agenttest.Bridge) { b.Lose = nil })
		time.Sleep(2 * time.Minute)
		c.wantSessions(0)
		if n := c.records(); n != 0 {
			t.Errorf("%d records are left", n)
		}
		id, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", Person: "Anna"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		c.wantState(id, agent.StateRinging)
	})
}

// A renewal that was never said is forgotten with its session.
func TestSignOutBeforeRenewal(t *testing.T) {
	inCar(t, nil, func(t *testing.T, c *car, _ schemas.ID) {
		c.Disconnected(nil)
		time.Sleep(11 * time.Minute)
		if n := c.records(); n != 1 {
			t.Fatalf("%d records", n)
		}
		if _, err := c.SignOut(t.Context(), agent.Target{All: true}); err != nil {
			t.Fatal(err)
		}
		c.Connected()
		time.Sleep(time.Minute)
		if n := len(c.b.Heard(schemas.KindRenew)); n != 0 {
			t.Errorf("said %d times", n)
		}
	})
}

// lastHandle is by which the last request has named a person.
func (c *car) lastHandle() (h schemas.Handle) {
	c.b.Set(func(b *agenttest.Bridge) {
		for _, s := range b.Said {
			switch m := s.Message.(type) {
			case *schemas.SignIn:
				if m.Person != nil {
					h = *m.Person
				}
			case *schemas.SignOut:
				if m.Person != nil {
					h = *m.Person
				}
			}
		}
	})
	return h
}

// Requests that the bridge has not taken yet name the person as the renewal
// before them has left them.
func TestOpenRequestsTakeTheNewHandle(t *testing.T) {
	for name, request := range map[string]func(*car) error{
		"sign-in": func(c *car) error {
			_, err := c.SignIn(c.t.Context(), agent.Request{Scope: "media", Person: "Anna", Seat: 2})
			return err
		},
		"sign-out": func(c *car) error {
			_, err := c.SignOut(c.t.Context(), agent.Target{Person: "Anna"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inCar(t, nil, func(t *testing.T, c *car, _ schemas.ID) {
				c.t = t
				busy := map[schemas.Kind]bool{schemas.KindSignIn: true, schemas.KindSignOut: true}
				c.b.Set(func(b *agenttest.Bridge) {
					b.Lose = func(m schemas.Message) bool { return m.Kind() == schemas.KindGranted }
					b.Answer = func(m schemas.Message) []schemas.Message {
						if busy[m.Kind()] {
							return []schemas.Message{b.Refusal(m.RequestID(), schemas.Busy)}
						}
						return b.Reply(m)
					}
				})
				time.Sleep(11 * time.Minute)
				if err := request(c); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				c.b.Set(func(b *agenttest.Bridge) { b.Lose = nil })
				time.Sleep(10 * time.Second) // the grant comes
				c.b.Set(func(*agenttest.Bridge) { clear(busy) })
				c.restart()
				time.Sleep(2 * time.Minute)
				if h := c.lastHandle(); c.b.Names[h] != "Anna" {
					t.Errorf("the last request names the void handle %v", h)
				}
			})
		})
	}
}
