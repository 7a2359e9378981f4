package provider_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// clients returns a provider with a client of each method of authentication.
func clients(t testing.TB) (*rig, func(client, jti string) string) {
	key := newKey(t)
	cfg := config(t)
	cfg.Clients = []provider.Client{
		{ID: "c-basic%", Secret: secret},
		{ID: "c-post", Secret: secret, AuthMethod: provider.SecretPost},
		{ID: "c-jwt", AuthMethod: provider.PrivateKeyJWT,
			Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k1", Algorithm: "ES256"}}},
	}
	return newRig(t, cfg), func(client, jti string) string { return assertion(t, key, client, jti) }
}

func TestClientAuthentication(t *testing.T) {
	r, assert := clients(t)
	basic := func(user, password string) func(*http.Request) {
		return func(req *http.Request) { req.SetBasicAuth(user, password) }
	}
	none := func(*http.Request) {}
	encoded := basic(url.QueryEscape("c-basic%"), url.QueryEscape(secret))
	jwtOf := func(client, jti string) []string {
		return []string{"client_assertion_type", jwtBearer, "client_assertion", assert(client, jti)}
	}
	once := jwtOf("c-jwt", "used-once")
	for _, c := range []struct {
		name   string
		edit   func(*http.Request)
		extra  []string
		status int
		code   string
	}{
		{"basic, form-encoded", encoded, nil, 200, ""},
		{"basic, every byte encoded", basic("c%2Dbasic%25", url.QueryEscape(secret)), nil, 200, ""},
		{"basic, not encoded", basic("c-basic%", secret), nil, 401, "invalid_client"},
		{"basic, wrong secret", basic("c-basic%25", "x"), nil, 401, "invalid_client"},
		{"basic, unknown client", basic("x", "x"), nil, 401, "invalid_client"},
		{"basic for a post client", basic("c-post", url.QueryEscape(secret)), nil, 401, "invalid_client"},
		{"post", none, []string{"client_id", "c-post", "client_secret", secret}, 200, ""},
		{"post, wrong secret", none, []string{"client_id", "c-post", "client_secret", "x"}, 401, "invalid_client"},
		{"post for a basic client", none, []string{"client_id", "c-basic%", "client_secret", secret}, 401, "invalid_client"},
		{"post for a jwt client", none, []string{"client_id", "c-jwt", "client_secret", ""}, 401, "invalid_client"},
		{"jwt", none, once, 200, ""},
		{"jwt, replayed", none, once, 401, "invalid_client"},
		{"jwt, again with another jti", none, jwtOf("c-jwt", "another"), 200, ""},
		{"jwt without jti", none, jwtOf("c-jwt", ""), 401, "invalid_client"},
		{"jwt of another client", none, jwtOf("c-post", "x1"), 401, "invalid_client"},
		{"jwt, other client_id", none, append(jwtOf("c-jwt", "x2"), "client_id", "c-post"), 401, "invalid_client"},
		{"jwt, long jti", none, jwtOf("c-jwt", strings.Repeat("x", 300)), 401, "invalid_client"},
		{"basic and post", encoded, []string{"client_id", "c-basic%", "client_secret", secret}, 400, "invalid_request"},
		{"basic and jwt", encoded, jwtOf("c-jwt", "x3"), 400, "invalid_request"},
		{"nobody", none, nil, 401, "invalid_client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := r.send("/bc-authorize", form(append([]string{"scope", "openid", "login_hint", anna}, c.extra...)...), c.edit)
			if c.code == "" && a.status == 200 {
				return
			}
			a.want(t, c.status, c.code)
			probe := httptest.NewRequest(http.MethodPost, issuer, nil)
			c.edit(probe)
			_, _, usedBasic := probe.BasicAuth()
			if challenged := a.header.Get("WWW-Authenticate") != ""; challenged != (usedBasic && a.status == 401) {
				t.Errorf("WWW-Authenticate: %q", a.header.Get("WWW-Authenticate"))
			}
		})
	}
}

// An assertion is remembered until it has expired, not longer.
func TestAssertionsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, assert := clients(t)
		for range 50 {
			a := r.send("/bc-authorize", form("scope", "openid", "login_hint", anna,
				"client_assertion_type", jwtBearer, "client_assertion", assert("c-jwt", time.Now().String())), func(*http.Request) {})
			if a.status != 200 {
				t.Fatalf("%d %v", a.status, a.json)
			}
			time.Sleep(time.Minute)
		}
		if _, _, _, replays := r.op.Sizes(); replays > 15 {
			t.Errorf("%d assertions are remembered", replays)
		}
	})
}

func TestForms(t *testing.T) {
	r := newRig(t, config(t))
	good := form("scope", "openid", "login_hint", anna)
	twice := form("scope", "openid", "login_hint", anna, "login_hint", "bela@example.com")
	for _, c := range []struct {
		name, kind, body string
		status           int
	}{
		{"form", "application/x-www-form-urlencoded", good.Encode(), 200},
		{"form with charset", "application/x-www-form-urlencoded; charset=UTF-8", good.Encode(), 200},
		{"JSON", "application/json", "{}", 415},
		{"no type", "", good.Encode(), 415},
		{"multipart", "multipart/form-data; boundary=x", "--x--", 415},
		{"broken escape", "application/x-www-form-urlencoded", "scope=%zz", 400},
		{"repeated parameter", "application/x-www-form-urlencoded", twice.Encode(), 400},
		{"too long", "application/x-www-form-urlencoded", good.Encode() + "&x=" + strings.Repeat("x", 70_000), 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := httptest.NewRequest(http.MethodPost, issuer+"/bc-authorize", strings.NewReader(c.body))
			if c.kind != "" {
				req.Header.Set("Content-Type", c.kind)
			}
			req.SetBasicAuth("bridge-1", url.QueryEscape(secret))
			rec := httptest.NewRecorder()
			r.op.ServeHTTP(rec, req)
			if rec.Code != c.status {
				t.Errorf("%d %s, want %d", rec.Code, rec.Body, c.status)
			}
		})
	}
}

func TestUnsupportedGrants(t *testing.T) {
	r := newRig(t, config(t))
	for _, grant := range []string{"authorization_code", "client_credentials", "password", ""} {
		r.post("/token", "grant_type", grant).want(t, 400, "unsupported_grant_type")
	}
}

// Whatever a form holds, the provider answers, and not with a fault of its own.
func FuzzForm(f *testing.F) {
	cfg := config(f)
	op, err := provider.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"scope=openid&login_hint=anna@example.com",
		"scope=openid&login_hint=" + anna + "&binding_message=K7&requested_expiry=1&acr_values=x&resource=a&resource=b",
		"scope=openid&id_token_hint=a.b.c", "scope=openid&login_hint_token=e30.e30.e30",
		"grant_type=urn:openid:params:grant-type:ciba&auth_req_id=x", "grant_type=refresh_token&refresh_token=x",
		"client_assertion=e30.e30.e30&client_assertion_type=" + jwtBearer, "client_id=x&client_secret=%00",
		"request_context={}&claims={}&max_age=-1&nonce=%ff", "token=e30.e30.e30",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, body string, basic bool) {
		for _, path := range []string{"/bc-authorize", "/token", "/revoke", "/userinfo"} {
			req := httptest.NewRequest(http.MethodPost, issuer+path, strings.NewReader(body))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if basic {
				req.SetBasicAuth("bridge-1", url.QueryEscape(secret))
			}
			rec := httptest.NewRecorder()
			op.ServeHTTP(rec, req)
			if rec.Code >= 500 && rec.Code != http.StatusServiceUnavailable {
				t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
			}
		}
	})
}
