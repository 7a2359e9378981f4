package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/schemas"
)

func TestSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		c.wantState(id, agent.StateRinging)
		if s := c.look(id); s.Binding != "4711" || s.ExpiresIn != 119*time.Second || s.Seat != 1 {
			t.Errorf("ringing: %+v", s)
		}
		if b.Private.LoginHint != "anna@example.com" {
			t.Errorf("the bridge reads the hint %v", b.Private.LoginHint)
		}
		b.Approve(id, "Anna")
		time.Sleep(time.Second)
		c.wantState(id, agent.StateGranted)
		c.wantSessions(1)
		s := c.Status().Sessions[0]
		if s.ID != id || s.Name != "Anna" || s.Seat != 1 || s.Person != 1 || s.Scope != "seat climate" || s.ExpiresIn != 3599*time.Second {
			t.Errorf("session: %+v", s)
		}
		if n := b.Knows(id).Receipts; n != 1 {
			t.Errorf("%d receipts", n)
		}
		if n := c.records(); n != 0 {
			t.Errorf("%d requests are left on disk", n)
		}
		token, left, err := c.Token(t.Context(), id)
		if err != nil || len(token.Access) != agenttest.TokenBytes || left > time.Hour {
			t.Errorf("token of %d bytes for %v: %v", len(token.Access), left, err)
		}
		time.Sleep(time.Hour)
		c.wantSessions(1)
		if _, _, err := c.Token(t.Context(), id); err == nil {
			t.Error("the token outlives its life")
		}
		if n := len(b.Heard(schemas.KindSignIn)); n != 1 {
			t.Errorf("said %d times", n)
		}
	})
}
