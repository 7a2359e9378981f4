package bridge_test

import (
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/schemas"
)

func TestSignIn(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: 7 * time.Second}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		g := car.grant(m)
		if len(g.AccessToken) == 0 || g.ExpiresIn == 0 || g.TokenType != schemas.Bearer || g.Scope != "" {
			t.Errorf("grant has %d bytes of %v, %d s, scope %q", len(g.AccessToken), g.TokenType, g.ExpiresIn, g.Scope)
		}
		pending, ok := car.answers(m.ID)[0].(*schemas.Pending)
		if !ok || pending.Binding == "" || pending.ExpiresIn < 110 || pending.ExpiresIn > 120 {
			t.Errorf("first answer %+v, want pending for two minutes", car.answers(m.ID)[0])
		}
		// The same person again, by the handle.
		if again := car.grant(car.signIn("")); again.Person == g.Person {
			t.Error("a handle was used twice")
		}
		if s := op.Stats(); s.Rang != 2 || s.Redeemed != 2 || s.Early != 0 || s.Overlapping != 0 {
			t.Errorf("the provider saw %+v", s)
		}
	})
}
