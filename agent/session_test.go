package agent_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/schemas"
)

func TestSignOut(t *testing.T) {
	for name, target := range map[string]func(agent.Session) agent.Target{
		"session": func(s agent.Session) agent.Target { return agent.Target{Session: s.ID} },
		"seat":    func(s agent.Session) agent.Target { return agent.Target{Seat: s.Seat} },
		"name":    func(s agent.Session) agent.Target { return agent.Target{Person: "anna"} },
		"number":  func(s agent.Session) agent.Target { return agent.Target{Person: "1"} },
		"all":     func(s agent.Session) agent.Target { return agent.Target{All: true} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := agenttest.NewBridge(t)
				c := newCar(t, b, nil)
				id := c.enter("Anna")
				c.Disconnected(nil)
				ids, err := c.SignOut(t.Context(), target(c.Status().Sessions[0]))
				if err != nil || !slices.Equal(ids, []schemas.ID{id}) {
					t.Fatalf("signed out %v: %v", ids, err)
				}
				c.wantSessions(0)
				if _, _, err := c.Token(t.Context(), id); err == nil {
					t.Error("the token is not forgotten")
				}
				time.Sleep(time.Hour)
				c.restart() // connects
				c.wantSessions(0)
				time.Sleep(10 * time.Second)
				outs := b.Heard(schemas.KindSignOut)
				if len(outs) != 1 {
					t.Fatalf("said %d times", len(outs))
				}
				if n := c.records(); n != 0 {
					t.Errorf("%d records are left", n)
				}
				if n := b.Knows(outs[0].Message.RequestID()).Receipts; n != 1 {
					t.Errorf("%d receipts", n)
				}
			})
		})
	}
}

// A sign-out is repeated for as long as it takes, ever more seldom.
func TestSignOutIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		c.enter("Anna")
		b.Set(func(b *agenttest.Bridge) { b.Deaf = true })
		if _, err := c.SignOut(t.Context(), agent.Target{All: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.SignOut(t.Context(), agent.Target{All: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		all := b.Heard(schemas.KindSignOut)
		if len(all) < 90 || len(all) > 130 {
			t.Errorf("said %d times in a day", len(all))
		}
		for _, s := range all {
			if s.Message.RequestID() != all[0].Message.RequestID() {
				t.Fatal("two sign-outs for the same")
			}
			if err := schemas.Fresh(s.Message.(*schemas.SignOut).IssuedAt, s.At); err != nil {
				t.Error(err)
			}
		}
		b.Set(func(b *agenttest.Bridge) { b.Deaf = false })
		time.Sleep(20 * time.Minute)
		if n := c.records(); n != 0 {
			t.Errorf("%d records are left", n)
		}
	})
}

func TestRevoked(t *testing.T) {
	for name, m := range map[string]func(id schemas.ID) *schemas.Revoked{
		"session": func(id schemas.ID) *schemas.Revoked {
			return &schemas.Revoked{ID: schemas.NewID(), Sessions: []schemas.ID{id}}
		},
		"all": func(schemas.ID) *schemas.Revoked { return &schemas.Revoked{ID: schemas.NewID(), All: true} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := agenttest.NewBridge(t)
				c := newCar(t, b, nil)
				id := c.enter("Anna")
				old := m(id)
				b.Set(func(b *agenttest.Bridge) { b.Say(old) })
				time.Sleep(time.Second)
				c.wantSessions(0)
				if n := len(b.Heard(schemas.KindReceipt)); n != 2 {
					t.Errorf("%d receipts, want one for the grant and one for the revocation", n)
				}
				// A copy signs nobody out who has come since, also after a restart.
				c.enter("Bela")
				b.Set(func(b *agenttest.Bridge) { b.Say(old) })
				time.Sleep(time.Second)
				c.restart()
				b.Set(func(b *agenttest.Bridge) { b.Say(old) })
				time.Sleep(time.Second)
				c.wantSessions(1)
				// One about others does nothing.
				b.Set(func(b *agenttest.Bridge) {
					b.Say(&schemas.Revoked{ID: schemas.NewID(), Sessions: []schemas.ID{schemas.NewID()}})
				})
				time.Sleep(time.Second)
				c.wantSessions(1)
			})
		})
	}
}

// Somebody signs out everybody, offline, and somebody else signs in before the
// bridge has answered: the answer is not about them.
func TestSignInAfterSignOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		c.enter("Anna")
		c.Disconnected(nil)
		if _, err := c.SignOut(t.Context(), agent.Target{All: true}); err != nil {
			t.Fatal(err)
		}
		id := c.signIn("bela@example.com")
		b.Set(func(b *agenttest.Bridge) {
			b.Said = nil
			b.Lose = func(m schemas.Message) bool { return m.Kind() == schemas.KindRevoked }
		})
		c.Connected()
		time.Sleep(time.Second)
		var order []schemas.Kind
		b.Set(func(b *agenttest.Bridge) {
			for _, s := range b.Said {
				order = append(order, s.Message.Kind())
			}
		})
		if order[0] != schemas.KindSignOut || order[1] != schemas.KindSignIn {
			t.Errorf("said %v", order)
		}
		b.Approve(id, "Bela")
		time.Sleep(time.Second)
		c.wantSessions(1)
		b.Set(func(b *agenttest.Bridge) { b.Lose = nil })
		time.Sleep(time.Minute)
		c.wantSessions(1)
	})
}

func TestPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		c.enter("Anna")
		c.enter("Bela")
		c.wantSessions(1) // of the seat
		again := func(who string) *schemas.SignIn {
			t.Helper()
			id, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", Person: who})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			c.wantState(id, agent.StateRinging)
			b.Approve(id, "")
			time.Sleep(time.Second)
			c.wantSessions(1)
			return b.Knows(id).Message.(*schemas.SignIn)
		}
		first, second := again("anna"), again("1")
		if first.Person == nil || first.Sealed != nil || second.Person == nil || *first.Person == *second.Person {
			t.Errorf("handles %v and %v", first.Person, second.Person)
		}
		c.restart()
		if third := again("Anna"); *third.Person == *second.Person {
			t.Error("a handle was used twice")
		}
		// The same hint is the same person; an equal name is not.
		c.enter("Anna")
		b.Set(func(b *agenttest.Bridge) { b.Names[schemas.NewHandle()] = "x" })
		id := c.signIn("other-anna@example.com")
		b.Approve(id, "Anna")
		time.Sleep(time.Second)
		people := c.Status().People
		if len(people) != 3 || people[0].Name != "Anna" || people[1].Name != "Bela" || people[2].Name != "Anna" {
			t.Errorf("people: %+v", people)
		}
		if _, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", Person: "Anna"}); err == nil {
			t.Error("an ambiguous name is taken")
		}
		// Who is not known at the bridge any more is forgotten.
		b.Set(func(b *agenttest.Bridge) { clear(b.Names) })
		id, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", Person: "3"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		c.wantState(id, agent.StateRefused)
		if people := c.Status().People; len(people) != 2 {
			t.Errorf("people: %+v", people)
		}
	})
}

// Whoever takes the seat ends the session of who sat there.
func TestTheNextDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		first := c.enter("Anna")
		second := c.enter("Bela")
		if s := c.Status().Sessions; len(s) != 1 || s[0].ID != second {
			t.Errorf("sessions %+v", s)
		}
		time.Sleep(time.Second)
		outs := b.Heard(schemas.KindSignOut)
		if len(outs) != 1 || outs[0].Message.(*schemas.SignOut).Sessions[0] != first {
			t.Errorf("sign-outs %+v", outs)
		}
	})
}
