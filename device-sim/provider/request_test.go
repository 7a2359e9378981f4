package provider_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

func TestRequestIsValidated(t *testing.T) {
	r := newRig(t, config(t))
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		name   string
		change []string // name, value; the value "-" removes the parameter
		status int
		code   string
	}{
		{"no hint", []string{"login_hint", "-"}, 400, "invalid_request"},
		{"two hints", []string{"login_hint_token", "x"}, 400, "invalid_request"},
		{"unknown person", []string{"login_hint", "dora@example.com"}, 400, "unknown_user_id"},
		{"hint with a blank", []string{"login_hint", "anna @example.com"}, 400, "invalid_request"},
		{"hint with a line break", []string{"login_hint", "anna@example.com\n"}, 400, "invalid_request"},
		{"hint beyond ASCII", []string{"login_hint", "ännä@example.com"}, 400, "invalid_request"},
		{"long hint", []string{"login_hint", long}, 400, "invalid_request"},
		{"no openid", []string{"scope", "seat"}, 400, "invalid_request"},
		{"no scope", []string{"scope", "-"}, 400, "invalid_request"},
		{"unknown scope", []string{"scope", "openid brakes"}, 400, "invalid_scope"},
		{"scope of other clients", []string{"scope", "openid mirrors"}, 400, "invalid_scope"},
		{"long binding message", []string{"binding_message", long}, 400, "invalid_binding_message"},
		{"markup in binding message", []string{"binding_message", "<b>K7</b>"}, 400, "invalid_binding_message"},
		{"binding message beyond ASCII", []string{"binding_message", "K7–4Q"}, 400, "invalid_binding_message"},
		{"control in binding message", []string{"binding_message", "K7\t4Q"}, 400, "invalid_binding_message"},
		{"negative expiry", []string{"requested_expiry", "-7"}, 400, "invalid_request"},
		{"zero expiry", []string{"requested_expiry", "0"}, 400, "invalid_request"},
		{"expiry in words", []string{"requested_expiry", "soon"}, 400, "invalid_request"},
		{"fractional expiry", []string{"requested_expiry", "1.5"}, 400, "invalid_request"},
		{"overflowing expiry", []string{"requested_expiry", "99999999999999999999"}, 400, "invalid_request"},
		{"authorization details", []string{"authorization_details", "[{"}, 400, "invalid_authorization_details"},
		{"signed request", []string{"request", "x.y.z"}, 400, "invalid_request"},
		{"request by reference", []string{"request_uri", "https://x.example"}, 400, "invalid_request"},
		{"user code", []string{"user_code", "1234"}, 400, "invalid_request"},
		{"context is no object", []string{"request_context", `["x"]`}, 400, "invalid_request"},
		{"purpose is no text", []string{"request_context", `{"purpose":1}`}, 400, "invalid_request"},
		{"purpose of two lines", []string{"request_context", `{"purpose":"a\nb"}`}, 400, "invalid_request"},
		{"line break in purpose", []string{"purpose", "a\r\nb"}, 400, "invalid_request"},
		{"purpose is no UTF-8", []string{"purpose", "a\xff"}, 400, "invalid_request"},
		{"long purpose parameter", []string{"purpose", long}, 400, "invalid_request"},
		{"long purpose", []string{"request_context", `{"purpose":"` + long + `"}`}, 400, "invalid_request"},
		{"notification token", []string{"client_notification_token", strings.Repeat("x", 1025)}, 400, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			params := map[string]string{"scope": "openid seat", "login_hint": "anna@example.com", "binding_message": "K7-4Q"}
			params[c.change[0]] = c.change[1]
			var pairs []string
			for name, value := range params {
				if value != "-" {
					pairs = append(pairs, name, value)
				}
			}
			a := r.post("/bc-authorize", pairs...)
			a.want(t, c.status, c.code)
			if strings.Contains(a.str("error_description"), "anna") {
				t.Errorf("the answer repeats the hint: %q", a.str("error_description"))
			}
			if n := len(r.op.Pending(anna)) + r.op.Rings(anna); n != 0 {
				t.Errorf("the phone rang for a refused request")
			}
		})
	}
}

func TestPurpose(t *testing.T) {
	for _, c := range []struct{ purpose, context, want string }{
		{"", "", ""},
		{"Schönefeld, 42 €", "", "Schönefeld, 42 €"},
		{"", `{"purpose":"Till 7","geo":{}}`, "Till 7"},
		{"Till 7", `{"purpose":"Till 7"}`, "Till 7"},
		{"Till 7", `{}`, "Till 7"},
		{"Till 7", `{"purpose":"Till 8"}`, "refused"},
	} {
		r := newRig(t, config(t))
		a := r.post("/bc-authorize", "scope", "openid", "login_hint", anna, "purpose", c.purpose, "request_context", c.context)
		if c.want == "refused" {
			a.want(t, 400, "invalid_request")
		} else if got := r.op.Pending(anna); len(got) != 1 || got[0].Purpose != c.want {
			t.Errorf("purpose %q, context %s: the phone shows %+v", c.purpose, c.context, got)
		}
	}
}

func TestBindingMessageLimitsAreConfigured(t *testing.T) {
	cfg := config(t)
	cfg.MaxBindingMessage, cfg.BindingPunctuation = 8, "-"
	r := newRig(t, cfg)
	for message, ok := range map[string]bool{"ABCD-123": true, "ABCD-1234": false, "AB CD": false, "-": true} {
		a := r.post("/bc-authorize", "scope", "openid", "login_hint", anna, "binding_message", message)
		if (a.status == 200) != ok {
			t.Errorf("%q: %d %v", message, a.status, a.json)
		}
	}
}

func TestExpiryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, config(t))
		for asked, want := range map[string]int{"": 120, "1": 1, "300": 300, "301": 300, "1000000": 300} {
			a := r.post("/bc-authorize", "scope", "openid", "login_hint", anna, "requested_expiry", asked)
			if a.status != 200 || a.num("expires_in") != want {
				t.Errorf("requested_expiry %q: %d %v, want %d", asked, a.status, a.json, want)
			}
		}
	})
}

func TestPendingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t)
		cfg.MaxPending = 3
		r := newRig(t, cfg)
		var last provider.Request
		for range 3 {
			_, last = r.ring()
		}
		again := func() answer { return r.post("/bc-authorize", "scope", "openid", "login_hint", "bela@example.com") }
		again().want(t, 503, "temporarily_unavailable")
		if err := r.op.Deny(t.Context(), last.ID); err != nil {
			t.Fatal(err)
		}
		if a := again(); a.status != 200 {
			t.Errorf("after a decision: %d %v", a.status, a.json)
		}
		again().want(t, 503, "temporarily_unavailable")
		time.Sleep(4 * time.Minute)
		if a := again(); a.status != 200 {
			t.Errorf("after the others lapsed: %d %v", a.status, a.json)
		}
	})
}

func TestIDTokenHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t)
		cfg.Clients = append(cfg.Clients, provider.Client{ID: "other", Secret: secret})
		r := newRig(t, cfg)
		tokens := r.signIn()
		ask := func(r *rig, hint string) answer {
			return r.post("/bc-authorize", "scope", "openid", "id_token_hint", hint)
		}
		if a := ask(r, tokens.str("id_token")); a.status != 200 {
			t.Errorf("fresh ID token: %d %v", a.status, a.json)
		}
		time.Sleep(90 * 24 * time.Hour)
		if a := ask(r, tokens.str("id_token")); a.status != 200 {
			t.Errorf("ID token of last season: %d %v", a.status, a.json)
		}
		if r.op.Rings(anna) != 3 {
			t.Errorf("Anna's phone rang %d times", r.op.Rings(anna))
		}
		ask(r.as("other", secret), tokens.str("id_token")).want(t, 400, "invalid_request")
		ask(r, tokens.str("access_token")).want(t, 400, "invalid_request")
		ask(r, tokens.str("id_token")[:100]).want(t, 400, "invalid_request")
		forger := newRig(t, config(t))
		ask(r, forger.signIn().str("id_token")).want(t, 400, "invalid_request")
	})
}

func TestLoginHintToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, config(t))
		ask := func(token string) answer {
			return r.post("/bc-authorize", "scope", "openid", "login_hint_token", token)
		}
		token, err := r.op.LoginHintToken(anna, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if a := ask(token); a.status != 200 || r.op.Rings(anna) != 1 {
			t.Errorf("fresh token: %d %v", a.status, a.json)
		}
		time.Sleep(time.Minute)
		ask(token).want(t, 400, "expired_login_hint_token")
		ask(r.signIn().str("id_token")).want(t, 400, "invalid_request")
		ask("junk").want(t, 400, "invalid_request")
		forged, err := newRig(t, config(t)).op.LoginHintToken(anna, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		ask(forged).want(t, 400, "invalid_request")

		for _, lifetime := range []time.Duration{0, time.Hour} {
			if _, err := r.op.LoginHintToken(anna, lifetime); err == nil {
				t.Errorf("a token for %v", lifetime)
			}
		}
		if _, err := r.op.LoginHintToken("nobody", time.Minute); err == nil {
			t.Error("a token for nobody")
		}
	})
}

// A login_hint_token is of its own type and says when it ends, even if the
// provider itself signed it.
func TestLoginHintTokenIsOfItsType(t *testing.T) {
	cfg := config(t)
	r := newRig(t, cfg)
	end := time.Now().Add(time.Minute).Unix()
	for _, c := range []struct {
		typ    string
		end    any
		format string
		status int
		code   string
	}{
		{"login-hint+jwt", end, "iss_sub", 200, ""},
		{"JWT", end, "iss_sub", 400, "invalid_request"},
		{"at+jwt", end, "iss_sub", 400, "invalid_request"},
		{"login-hint+jwt", nil, "iss_sub", 400, "expired_login_hint_token"},
		{"login-hint+jwt", end, "email", 400, "invalid_request"},
	} {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: cfg.Key},
			(&jose.SignerOptions{}).WithType(jose.ContentType(c.typ)))
		if err != nil {
			t.Fatal(err)
		}
		claims := map[string]any{"iss": issuer, "exp": c.end, "sub_id": map[string]string{"format": c.format, "iss": issuer, "sub": anna}}
		raw, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		r.post("/bc-authorize", "scope", "openid", "login_hint_token", raw).want(t, c.status, c.code)
	}
}
