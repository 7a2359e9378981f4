package settings_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/carillon-iot/carillon/device-sim/settings"
)

func TestTokenChecks(t *testing.T) {
	r := newRig(t, nil)
	now := time.Now().Unix()
	for _, c := range []struct {
		name    string
		changes []any
		status  int
		code    string
	}{
		{"good", nil, 200, ""},
		{"audience in a list", []any{"aud", []string{"https://other.example", audience}}, 200, ""},
		{"null confirmation", []any{"cnf", nil}, 200, ""},
		{"other issuer", []any{"iss", "https://evil.example"}, 401, "invalid_token"},
		{"no issuer", []any{"iss", nil}, 401, "invalid_token"},
		{"other audience", []any{"aud", "https://other.example"}, 401, "invalid_token"},
		{"no audience", []any{"aud", nil}, 401, "invalid_token"},
		{"expired", []any{"exp", now - 1}, 401, "invalid_token"},
		{"expires now", []any{"exp", now}, 401, "invalid_token"},
		{"no expiry", []any{"exp", nil}, 401, "invalid_token"},
		{"expiry is text", []any{"exp", "tomorrow"}, 401, "invalid_token"},
		{"not yet", []any{"nbf", now + 60}, 401, "invalid_token"},
		{"from the future", []any{"iat", now + 60}, 401, "invalid_token"},
		{"no iat", []any{"iat", nil}, 401, "invalid_token"},
		{"no subject", []any{"sub", nil}, 401, "invalid_token"},
		{"no client", []any{"client_id", nil}, 401, "invalid_token"},
		{"no jti", []any{"jti", nil}, 401, "invalid_token"},
		{"bound to a key", []any{"cnf", map[string]string{"jkt": "x"}}, 401, "invalid_token"},
		{"scope is a list", []any{"scope", []string{"seat"}}, 401, "invalid_token"},
		{"no scope", []any{"scope", nil}, 403, "insufficient_scope"},
		{"no scope of settings", []any{"scope", "openid email"}, 403, "insufficient_scope"},
		{"write scope alone", []any{"scope", "settings:write"}, 403, "insufficient_scope"},
		{"scope in other case", []any{"scope", "Seat"}, 403, "insufficient_scope"},
		{"scope as part of another", []any{"scope", "seatbelt"}, 403, "insufficient_scope"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := r.get(r.sign(claims(c.changes...)))
			if c.code == "" {
				read(t, rec)
				return
			}
			wantProblem(t, rec, c.status, `error="`+c.code+`"`)
		})
	}
}

func TestSignatureChecks(t *testing.T) {
	r := newRig(t, nil)
	other := newKey(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := r.sign(claims())
	parts := strings.Split(good, ".")
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for name, token := range map[string]string{
		"another key, same id":   sign(t, jose.ES256, other, "k1", "at+jwt", claims()),
		"unknown key":            sign(t, jose.ES256, other, "k2", "at+jwt", claims()),
		"no key id":              sign(t, jose.ES256, r.key, "", "at+jwt", claims()),
		"algorithm not accepted": sign(t, jose.ES384, p384, "k1", "at+jwt", claims()),
		"HMAC with a known text": sign(t, jose.HS256, []byte(strings.Repeat("k", 32)), "k1", "at+jwt", claims()),
		"no signature":           encode(`{"alg":"none","typ":"at+jwt"}`) + "." + parts[1] + ".",
		"signature cut off":      parts[0] + "." + parts[1] + ".",
		"body of another":        parts[0] + "." + strings.Split(r.sign(claims("sub", "u-8vt4c1np")), ".")[1] + "." + parts[2],
		"ID token":               sign(t, jose.ES256, r.key, "k1", "JWT", claims()),
		"no type":                sign(t, jose.ES256, r.key, "k1", "", claims()),
		"unknown crit":           encode(`{"alg":"ES256","kid":"k1","typ":"at+jwt","crit":["x"],"x":1}`) + "." + parts[1] + "." + parts[2],
		"not a token":            "x",
		"four parts":             good + ".x",
	} {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, r.get(token), 401, `error="invalid_token"`)
		})
	}
	for _, typ := range []string{"AT+JWT", "application/at+jwt"} {
		read(t, r.get(sign(t, jose.ES256, r.key, "k1", typ, claims())))
	}
}

func TestWhereTheTokenStands(t *testing.T) {
	r := newRig(t, nil)
	good := r.sign(claims())
	wantProblem(t, r.get(""), 401, `Bearer realm="settings"`)
	if got := r.get("").Header().Get("WWW-Authenticate"); strings.Contains(got, "error") {
		t.Errorf("a request without token is told of an error: %q", got)
	}
	wantProblem(t, r.get("", "Authorization", "Basic eDp4"), 401, "Bearer")
	wantProblem(t, r.get("", "Authorization", "DPoP "+good), 401, "Bearer")
	wantProblem(t, r.get("", "Authorization", "Bearer"), 400, `error="invalid_request"`)
	wantProblem(t, r.get(good, "Authorization", "Bearer "+good), 400, `error="invalid_request"`)
	wantProblem(t, r.get(strings.Repeat("x", 9000)), 400, `error="invalid_request"`)
	read(t, r.get("", "Authorization", "bearer "+good))
}

func TestRSA(t *testing.T) {
	for bits, want := range map[int]int{1024: 401, 2048: 200} {
		t.Setenv("GODEBUG", "rsa1024min=0")
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, func(c *settings.Config) { c.Algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256} })
		r.issuer.keys = append(r.issuer.keys, jose.JSONWebKey{Key: &key.PublicKey, KeyID: "rsa"})
		if got := r.get(sign(t, jose.RS256, key, "rsa", "at+jwt", claims())).Code; got != want {
			t.Errorf("RSA of %d bits: %d, want %d", bits, got, want)
		}
	}
}

func TestLeeway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *settings.Config) { c.Leeway = 10 * time.Second })
		token := r.sign(claims("exp", time.Now().Unix()+60))
		time.Sleep(69 * time.Second)
		read(t, r.get(token))
		time.Sleep(time.Second)
		wantProblem(t, r.get(token), 401, "invalid_token")
		read(t, r.get(r.sign(claims("nbf", time.Now().Unix()+10, "iat", time.Now().Unix()+10))))
		wantProblem(t, r.get(r.sign(claims("nbf", time.Now().Unix()+11))), 401, "invalid_token")
	})
}

// Keys are fetched once, again when they are old or a key id is new, and not
// more often than every 5 s whatever tokens come.
func TestKeysAreCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		for range 100 {
			read(t, r.get(r.sign(claims())))
		}
		if r.issuer.fetches != 1 {
			t.Errorf("%d fetches for 100 tokens", r.issuer.fetches)
		}
		stranger := newKey(t)
		for range 100 {
			wantProblem(t, r.get(sign(t, jose.ES256, stranger, "k9", "at+jwt", claims())), 401, "invalid_token")
			time.Sleep(100 * time.Millisecond)
		}
		if r.issuer.fetches > 3 {
			t.Errorf("%d fetches in 10 s of unknown keys", r.issuer.fetches)
		}
		next := newKey(t)
		time.Sleep(5 * time.Second)
		r.issuer.keys = append(r.issuer.keys, public(next, "k2"))
		read(t, r.get(sign(t, jose.ES256, next, "k2", "at+jwt", claims())))

		r.issuer.keys = r.issuer.keys[1:] // the first key is withdrawn
		time.Sleep(10 * time.Minute)
		wantProblem(t, r.get(r.sign(claims())), 401, "invalid_token")
	})
}

// A token that cannot be checked because the issuer is in trouble is not called
// invalid, and keys that were good before are good for a while.
func TestIssuerInTrouble(t *testing.T) {
	answer := func(status int, kind, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "https://elsewhere.example/")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	metadata := func(broken func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool { return r.URL.Path != "/keys" && broken(w, r) }
	}
	for name, broken := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"down":       answer(500, "application/json", "{}"),
		"page":       answer(200, "text/html", "<html>"),
		"redirect":   answer(302, "application/json", "{}"),
		"no JSON":    answer(200, "application/json", "<html>"),
		"empty":      answer(200, "application/json", "{}"),
		"other's":    metadata(answer(200, "application/json", `{"issuer":"https://evil.example","jwks_uri":"https://op.example.com/keys"}`)),
		"plain http": metadata(answer(200, "application/json", `{"issuer":"https://op.example.com","jwks_uri":"http://op.example.com/keys"}`)),
		"too long":   answer(200, "application/json", `{"x":"`+strings.Repeat("x", 300_000)+`"}`),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *settings.Config) {
					c.HTTPClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				})
				r.issuer.broken = broken
				rec := r.get(r.sign(claims()))
				wantProblem(t, rec, 503, "")
				if rec.Header().Get("Retry-After") != "5" {
					t.Errorf("Retry-After %q", rec.Header().Get("Retry-After"))
				}
				r.issuer.broken = nil
				time.Sleep(5 * time.Second)
				read(t, r.get(r.sign(claims())))

				r.issuer.broken = broken
				time.Sleep(23 * time.Hour)
				read(t, r.get(r.sign(claims())))
				time.Sleep(2 * time.Hour)
				wantProblem(t, r.get(r.sign(claims())), 503, "")
			})
		})
	}
}

// A key document may hold keys of other kinds, but not no key and not any number.
func TestKeyDocuments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		document := ""
		r.issuer.broken = func(w http.ResponseWriter, req *http.Request) bool {
			if req.URL.Path != "/keys" {
				return false
			}
			w.Header().Set("Content-Type", "application/jwk-set+json")
			_, _ = w.Write([]byte(document))
			return true
		}
		jwk, err := public(r.key, "k1").MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		secret := `{"kty":"oct","k":"a2V5","kid":"k1"}`
		for _, c := range []struct {
			document string
			status   int
		}{
			{`{"keys":[]}`, 503},
			{`{"keys":[` + secret + `]}`, 503},
			{`{"keys":[` + strings.Replace(string(jwk), `"sig"`, `"enc"`, 1) + `]}`, 503},
			{`{"keys":[` + strings.Repeat(string(jwk)+",", 40) + string(jwk) + `]}`, 503},
			{`{"keys":[{"kty":"new"},` + string(jwk) + `]}`, 200},
		} {
			time.Sleep(6 * time.Second)
			document = c.document
			if rec := r.get(r.sign(claims())); rec.Code != c.status {
				t.Errorf("%.60s: %d %s, want %d", c.document, rec.Code, rec.Body, c.status)
			}
		}
	})
}
