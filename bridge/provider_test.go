package bridge_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/schemas"
)

// What goes wrong when the phone is to be rung, and what the device is told,
// inside the time for which it waits.
func TestProviderFailsTheCall(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault cibatest.Fault
		want  schemas.Code
		retry uint16 // 0: none
		rang  int
	}{
		{"a page of HTML", cibatest.HTML(200), schemas.ProviderError, 5, 0},
		{"an internal error", cibatest.HTML(500), schemas.ProviderUnavailable, 5, 0},
		{"throttled", cibatest.Busy(429, 12*time.Second), schemas.ProviderUnavailable, 12, 0},
		{"down for long", cibatest.Busy(503, time.Hour), schemas.ProviderUnavailable, 60, 0},
		{"a redirection", cibatest.Redirect(302, "https://elsewhere.example.com/"), schemas.ProviderError, 5, 0},
		{"no answer", cibatest.Hang(), schemas.Interrupted, 0, 0},
		{"the answer is cut off", cibatest.BreakOff(), schemas.Interrupted, 0, 1},
		{"the answer is lost", cibatest.Lose(), schemas.Interrupted, 0, 1},
		{"half the JSON", cibatest.TruncatedJSON(), schemas.ProviderError, 5, 1},
		{"nobody is called that", cibatest.OAuthError(400, "unknown_user_id"), schemas.UnknownPerson, 0, 0},
		{"a policy of the provider", cibatest.OAuthError(403, "access_denied"), schemas.AccessDenied, 0, 0},
		{"scope", cibatest.OAuthError(400, "invalid_scope"), schemas.InvalidScope, 0, 0},
		{"client not accepted", cibatest.OAuthError(401, "invalid_client"), schemas.ProviderError, 5, 0},
		{"anything else", cibatest.OAuthError(400, "invalid_request"), schemas.ProviderError, 5, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			op := &cibatest.Provider{Backchannel: cibatest.Sequence(c.fault)}
			inWorld(t, op, func(w *world) {
				w.start()
				car := w.car("car-1")
				m := car.signIn("anna@example.com")
				begun := time.Now()
				r := car.refused(m, c.want)
				if r.RetryAfter != c.retry {
					t.Errorf("retry after %d s, want %d", r.RetryAfter, c.retry)
				}
				if d := time.Since(begun); d > bridge.CallTimeout+time.Second {
					t.Errorf("refused after %v", d)
				}
				if n := op.Stats().Rang; n != c.rang {
					t.Errorf("%d phones rang, want %d", n, c.rang)
				}
				// The fault is over, and so is the person's other request.
				decideAfter(op, time.Second, true)
				car.grant(car.signIn("anna@example.com"))
			})
		})
	}
}

// What goes wrong while the person thinks it over.
func TestProviderFailsThePolls(t *testing.T) {
	many := func(f cibatest.Fault, n int) cibatest.Script {
		return cibatest.Sequence(slices.Repeat([]cibatest.Fault{f}, n)...)
	}
	for _, c := range []struct {
		name string
		op   *cibatest.Provider
		want string
	}{
		{"fails for a while", &cibatest.Provider{Token: many(cibatest.HTML(502), 2)}, "granted"},
		{"fails for ever", &cibatest.Provider{Token: cibatest.Always(cibatest.HTML(502))}, "provider_unavailable"},
		{"slows down", &cibatest.Provider{Token: many(cibatest.SlowDown(7*time.Second, 0), 3)}, "granted"},
		{"holds the polls", &cibatest.Provider{LongPoll: 29 * time.Second}, "granted"},
		{"hangs once", &cibatest.Provider{Token: many(cibatest.Hang(), 1)}, "granted"},
		{"loses the tokens", &cibatest.Provider{Token: cibatest.Sequence(nil, cibatest.Lose())}, "interrupted"},
		{"cuts the tokens off", &cibatest.Provider{Token: cibatest.Sequence(nil, cibatest.BreakOff())}, "interrupted"},
		{"does not know us", &cibatest.Provider{Token: cibatest.Always(cibatest.OAuthError(401, "invalid_client"))}, "provider_error"},
		{"does not know its own request", &cibatest.Provider{Token: cibatest.Always(cibatest.OAuthError(400, "invalid_grant"))}, "interrupted"},
		{"answers HTML", &cibatest.Provider{Token: cibatest.Always(cibatest.HTML(200))}, "provider_error"},
		{"redirects", &cibatest.Provider{Token: cibatest.Always(cibatest.Redirect(307, "https://elsewhere.example.com/"))}, "provider_error"},
		{"signs with another key", &cibatest.Provider{EditIDToken: func(d *cibatest.Draft) { d.Algorithm, d.Key = "HS256", []byte(strings.Repeat("k", 32)) }}, "provider_error"},
		{"is of another issuer", &cibatest.Provider{EditIDToken: func(d *cibatest.Draft) { d.Claims["iss"] = "https://other.example.com" }}, "provider_error"},
		{"means another client", &cibatest.Provider{EditIDToken: func(d *cibatest.Draft) { d.Claims["aud"] = "other" }}, "provider_error"},
		{"authenticated yesterday", &cibatest.Provider{EditIDToken: func(d *cibatest.Draft) { d.Claims["auth_time"] = time.Now().Add(-24 * time.Hour).Unix() }}, "provider_error"},
		{"grants other scopes", &cibatest.Provider{EditTokens: func(m map[string]any) { m["scope"] = "openid mirror" }}, "invalid_scope"},
		{"binds the token to a key", &cibatest.Provider{EditTokens: func(m map[string]any) { m["token_type"] = "DPoP" }}, "provider_error"},
		{"sends too large a token", &cibatest.Provider{EditTokens: func(m map[string]any) { m["access_token"] = strings.Repeat("x", 13000) }}, "provider_error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, c.op, func(w *world) {
				decideAfter(c.op, 7*time.Second, true)
				w.start()
				car := w.car("car-1")
				m := car.signIn("anna@example.com")
				if got := outcome(car.ask(m)); got != c.want {
					t.Errorf("%s, want %s\n%s", got, c.want, w.logs.String())
				}
				if s := c.op.Stats(); s.Rang != 1 || s.Overlapping != 0 || s.Early != 0 || s.AfterEnd > 1 {
					t.Errorf("the provider saw %+v", s)
				}
			})
		})
	}
}

// A provider that cannot be reached at all has rung nobody.
func TestProviderUnreachable(t *testing.T) {
	op := &cibatest.Provider{}
	inWorld(t, op, func(w *world) {
		w.edit = func(c *bridge.Config) { c.Provider = unreachable{c.Provider} }
		w.start()
		car := w.car("car-1")
		if r := car.refused(car.signIn("anna@example.com"), schemas.ProviderUnavailable); r.RetryAfter != 5 {
			t.Errorf("retry after %d s", r.RetryAfter)
		}
	})
}

type unreachable struct{ bridge.Provider }

func (unreachable) RequestAuthentication(context.Context, ciba.AuthenticationRequest) (ciba.Acknowledgement, error) {
	return ciba.Acknowledgement{}, errors.Join(ciba.ErrUnavailable, errors.New("connection refused"))
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
