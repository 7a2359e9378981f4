package bridge_test

import (
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/schemas"
)

// A call that fails says when to ask again, and leaves the person free to. What
// else a provider does wrong is in TestHostileProvider.
func TestCallFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault cibatest.Fault
		want  schemas.Code
		retry uint16 // 0: none
	}{
		{"an internal error", cibatest.HTML(500), schemas.ProviderUnavailable, 5},
		{"throttled", cibatest.Busy(429, 12*time.Second), schemas.ProviderUnavailable, 12},
		{"down for long", cibatest.Busy(503, time.Hour), schemas.ProviderUnavailable, 60},
		{"a page of HTML", cibatest.HTML(200), schemas.ProviderError, 5},
		{"client not accepted", cibatest.OAuthError(401, "invalid_client"), schemas.ProviderError, 5},
		{"the answer is lost", cibatest.Lose(), schemas.Interrupted, 0},
		{"nobody is called that", cibatest.OAuthError(400, "unknown_user_id"), schemas.UnknownPerson, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			op := &cibatest.Provider{Backchannel: cibatest.Sequence(c.fault)}
			inWorld(t, op, func(w *world) {
				w.start()
				car := w.car("car-1")
				if r := car.refused(car.signIn("anna@example.com"), c.want); r.RetryAfter != c.retry {
					t.Errorf("retry after %d s, want %d", r.RetryAfter, c.retry)
				}
				// Whatever pause the provider has asked for is over then.
				time.Sleep(2 * time.Minute)
				decideAfter(op, time.Second, true)
				car.grant(car.signIn("anna@example.com"))
			})
		})
	}
}

// The acr that was asked for must come.
func TestACR(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second, EditIDToken: func(d *cibatest.Draft) { d.Claims["acr"] = "bronze" }}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		m.ACR = "silver gold"
		car.refused(m, schemas.ProviderError)
		m = car.signIn("anna@example.com")
		m.ACR = "bronze"
		car.grant(m)
	})
}

// A bridge that comes back with another provider asks that one nothing about
// the sign-ins of the first.
func TestOtherProvider(t *testing.T) {
	op := &cibatest.Provider{}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		car.send(m)
		time.Sleep(time.Second)
		w.stop()
		w.edit = func(c *bridge.Config) { c.Issuer = "https://other.example.com" }
		w.start()
		if got := outcome(car.await(m.ID, time.Minute)); got != "interrupted" {
			t.Errorf("%s, want interrupted", got)
		}
	})
}
