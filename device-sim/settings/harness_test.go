package settings_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/carillon-iot/carillon/device-sim/settings"
)

const (
	issuer   = "https://op.example.com"
	audience = "https://settings.example.com"
	anna     = "u-5kq2m7xd"
)

// roundTripper serves requests from a handler without a network.
type roundTripper struct{ handler http.Handler }

func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	rec := httptest.NewRecorder()
	t.handler.ServeHTTP(rec, in)
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

// fakeIssuer publishes keys, badly if told to.
type fakeIssuer struct {
	keys    []jose.JSONWebKey
	broken  func(http.ResponseWriter, *http.Request) (done bool) // nil means not broken
	fetches int                                                  // of the key document
}

func (f *fakeIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/keys" {
		f.fetches++
	}
	if f.broken != nil && f.broken(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/keys" {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: f.keys})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer, "jwks_uri": issuer + "/keys"})
}

// rig is an API and an issuer whose key the test holds.
type rig struct {
	t      testing.TB
	api    *settings.API
	issuer *fakeIssuer
	key    *ecdsa.PrivateKey
	events []settings.Event
}

func newRig(t testing.TB, edit func(*settings.Config)) *rig {
	t.Helper()
	r := &rig{t: t, key: newKey(t)}
	r.issuer = &fakeIssuer{keys: []jose.JSONWebKey{public(r.key, "k1")}}
	cfg := settings.Config{
		Issuer: issuer, Audience: audience, HTTPClient: &http.Client{Transport: roundTripper{r.issuer}},
		Observe: func(e settings.Event) { r.events = append(r.events, e) },
	}
	if edit != nil {
		edit(&cfg)
	}
	api, err := settings.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.api = api
	return r
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(key *ecdsa.PrivateKey, id string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: &key.PublicKey, KeyID: id, Algorithm: "ES256", Use: "sig"}
}

// claims are those of a good token of Anna, changed by name-value pairs; a nil
// value removes a claim.
func claims(changes ...any) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{
		"iss": issuer, "aud": audience, "sub": anna, "client_id": "bridge", "scope": "openid seat",
		"iat": now, "exp": now + 900, "jti": "t-1",
	}
	for i := 0; i < len(changes); i += 2 {
		if c[changes[i].(string)] = changes[i+1]; changes[i+1] == nil {
			delete(c, changes[i].(string))
		}
	}
	return c
}

// sign makes a token.
func (r *rig) sign(claims map[string]any) string {
	return sign(r.t, jose.ES256, r.key, "k1", "at+jwt", claims)
}

func sign(t testing.TB, alg jose.SignatureAlgorithm, key crypto.PrivateKey, kid, typ string, claims map[string]any) string {
	t.Helper()
	opts := &jose.SignerOptions{}
	if typ != "" {
		opts = opts.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, opts)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// get asks with a token; more headers as name-value pairs.
func (r *rig) get(token string, headers ...string) *httptest.ResponseRecorder {
	return r.send(http.MethodGet, token, "", headers...)
}

func (r *rig) patch(token, body string, headers ...string) *httptest.ResponseRecorder {
	return r.send(http.MethodPatch, token, body, append([]string{"Content-Type", "application/merge-patch+json"}, headers...)...)
}

func (r *rig) send(method, token, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(r.t.Context(), method, audience+settings.Path, strings.NewReader(body))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	r.api.ServeHTTP(rec, req)
	return rec
}

// document is the body of a good answer.
type document struct {
	VSS      string            `json:"vss"`
	Person   map[string]string `json:"person"`
	Settings map[string]any    `json:"settings"`
}

func read(t testing.TB, rec *httptest.ResponseRecorder) document {
	t.Helper()
	var d document
	if rec.Code != http.StatusOK {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// wantProblem checks an error answer.
func wantProblem(t testing.TB, rec *httptest.ResponseRecorder, status int, challenge string) {
	t.Helper()
	var p struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
		t.Fatalf("%d, body %q: %v", rec.Code, rec.Body, err)
	}
	if rec.Code != status || p.Status != status || p.Title == "" || p.Detail == "" {
		t.Errorf("%d with problem %+v, want %d", rec.Code, p, status)
	}
	if got := rec.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("type %q", got)
	}
	if got := rec.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	got := rec.Header().Get("WWW-Authenticate")
	if (got == "") != (challenge == "") || !strings.Contains(got, challenge) {
		t.Errorf("WWW-Authenticate %q, want %q in it", got, challenge)
	}
}
