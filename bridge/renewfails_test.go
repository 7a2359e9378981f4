package bridge_test

import (
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/schemas"
)

// What the provider can answer to a refresh, and what becomes of the session.
func TestProviderFailsTheRefresh(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault cibatest.Fault
		edit  func(*cibatest.Provider)
		want  schemas.Code
		retry uint16 // 0: none, and the session is over
	}{
		{name: "down", fault: cibatest.Busy(503, 20*time.Second), want: schemas.ProviderUnavailable, retry: 20},
		{name: "throttled", fault: cibatest.Busy(429, 0), want: schemas.ProviderUnavailable, retry: 5},
		{name: "an internal error", fault: cibatest.HTML(500), want: schemas.ProviderUnavailable, retry: 5},
		{name: "client not accepted", fault: cibatest.OAuthError(401, "invalid_client"), want: schemas.ProviderError, retry: 60},
		{name: "a gateway without an answer", fault: cibatest.HTML(504), want: schemas.Interrupted},
		{name: "no answer", fault: cibatest.Hang(), want: schemas.Interrupted},
		{name: "the answer is lost", fault: cibatest.Lose(), want: schemas.Interrupted},
		{name: "the answer is cut off", fault: cibatest.BreakOff(), want: schemas.Interrupted},
		{name: "half the JSON", fault: cibatest.TruncatedJSON(), want: schemas.ProviderError},
		{name: "a page of HTML", fault: cibatest.HTML(200), want: schemas.ProviderError},
		{name: "the token is no longer good", fault: cibatest.OAuthError(400, "invalid_grant"), want: schemas.UnknownSession},
		{name: "the provider says no", fault: cibatest.OAuthError(403, "access_denied"), want: schemas.AccessDenied},
		{name: "anything else", fault: cibatest.OAuthError(400, "invalid_request"), want: schemas.ProviderError},
		{name: "tokens of another person", want: schemas.WrongPerson, edit: func(op *cibatest.Provider) {
			op.EditIDToken = func(d *cibatest.Draft) { d.Claims["sub"] = "mallory" }
		}},
		{name: "an ID token of another issuer", want: schemas.ProviderError, edit: func(op *cibatest.Provider) {
			op.EditIDToken = func(d *cibatest.Draft) { d.Claims["iss"] = "https://other.example.com" }
		}},
		{name: "none of the scopes", want: schemas.InvalidScope, edit: func(op *cibatest.Provider) {
			op.EditTokens = func(m map[string]any) { m["scope"] = "openid mirror" }
		}},
		{name: "a token bound to a key", want: schemas.ProviderError, edit: func(op *cibatest.Provider) {
			op.EditTokens = func(m map[string]any) { m["token_type"] = "DPoP" }
		}},
		{name: "too large a token", want: schemas.ProviderError, edit: func(op *cibatest.Provider) {
			op.EditTokens = func(m map[string]any) { m["access_token"] = strings.Repeat("x", 13000) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			op := renewing()
			op.Token = cibatest.Sequence(nil, c.fault)
			inRenewingWorld(t, op, func(w *world) {
				car := w.car("car-1")
				session := car.enter("anna@example.com")
				if c.edit != nil {
					c.edit(op)
				}
				begun := time.Now()
				r := car.refused(car.renew(session), c.want)
				if r.RetryAfter != c.retry {
					t.Errorf("retry after %d s, want %d", r.RetryAfter, c.retry)
				}
				if d := time.Since(begun); d > bridge.RenewTimeout+time.Second {
					t.Errorf("refused after %v", d)
				}
				if c.retry > 0 {
					time.Sleep(30 * time.Second) // the provider is left alone a little longer
					car.regrant(session)
					return
				}
				car.refused(car.renew(session), schemas.UnknownSession)
				w.until("revocation", time.Minute, func() bool { return op.Stats().Revocation > 0 })
				time.Sleep(time.Minute)
				if n := w.count("revocations"); n != 0 {
					t.Errorf("%d revocations are left", n)
				}
			})
		})
	}
}
