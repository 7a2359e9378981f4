package provider_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

const (
	issuer   = "https://op.example.com"
	resource = "https://settings.example.com"
	secret   = "correct horse+battery%staple:1"
)

// roundTripper serves requests from a handler without a network, so that tests
// can run in a synctest bubble.
type roundTripper struct{ handler http.Handler }

func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI, in.Host, in.RemoteAddr = r.URL.RequestURI(), r.URL.Host, "192.0.2.1:1"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	t.handler.ServeHTTP(rec, in)
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// config is a provider with the sample people and one client, "bridge-1", that
// polls and authenticates with HTTP Basic.
func config(t testing.TB) provider.Config {
	return provider.Config{
		Issuer: issuer, Key: newKey(t), Resource: resource,
		People: provider.SamplePeople(), Scopes: provider.SampleScopes(),
		Clients: []provider.Client{{
			ID: "bridge-1", Name: "Carillon", Secret: secret, Refresh: true,
			Scopes: []string{"profile", "email", "phone", "offline_access", "seat", "climate"},
		}},
	}
}

// rig is a provider and a client of it.
type rig struct {
	t      testing.TB
	op     *provider.Provider
	http   *http.Client
	id     string // client_id
	secret string
}

func newRig(t testing.TB, cfg provider.Config) *rig {
	t.Helper()
	op, err := provider.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return rigOf(t, op)
}

func rigOf(t testing.TB, op *provider.Provider) *rig {
	return &rig{t: t, op: op, http: &http.Client{Transport: roundTripper{op}}, id: "bridge-1", secret: secret}
}

// as is the same provider seen by another client.
func (r *rig) as(id, secret string) *rig {
	other := *r
	other.id, other.secret = id, secret
	return &other
}

// answer is a response with a JSON object.
type answer struct {
	status int
	header http.Header
	json   map[string]any
}

func (a answer) str(name string) string { s, _ := a.json[name].(string); return s }

func (a answer) num(name string) int { n, _ := a.json[name].(float64); return int(n) }

// post sends name-value pairs with HTTP Basic authentication.
func (r *rig) post(path string, pairs ...string) answer {
	r.t.Helper()
	return r.send(path, form(pairs...), func(req *http.Request) {
		req.SetBasicAuth(url.QueryEscape(r.id), url.QueryEscape(r.secret))
	})
}

func (r *rig) send(path string, form url.Values, edit func(*http.Request)) answer {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodPost, issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	edit(req)
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if resp.ContentLength != 0 && resp.Header.Get("Content-Type") == "application/json" {
		if err := json.NewDecoder(resp.Body).Decode(&a.json); err != nil {
			r.t.Fatalf("%s: answer is not a JSON object: %v", path, err)
		}
	}
	return a
}

func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

// ring starts a sign-in of Anna and returns the auth_req_id and what her phone shows.
func (r *rig) ring(pairs ...string) (string, provider.Request) {
	r.t.Helper()
	if len(pairs) == 0 {
		pairs = []string{"scope", "openid profile seat offline_access", "login_hint", "anna@example.com", "binding_message", "K7-4Q"}
	}
	a := r.post("/bc-authorize", pairs...)
	if a.status != 200 || a.str("auth_req_id") == "" {
		r.t.Fatalf("bc-authorize: %d %v", a.status, a.json)
	}
	pending := r.op.Pending(anna)
	if len(pending) == 0 {
		r.t.Fatal("nothing is pending for Anna")
	}
	return a.str("auth_req_id"), pending[len(pending)-1]
}

func (r *rig) poll(authReqID string) answer {
	r.t.Helper()
	return r.post("/token", "grant_type", "urn:openid:params:grant-type:ciba", "auth_req_id", authReqID)
}

func (r *rig) refresh(token string) answer {
	r.t.Helper()
	return r.post("/token", "grant_type", "refresh_token", "refresh_token", token)
}

// signIn goes the whole way and returns the token response.
func (r *rig) signIn(pairs ...string) answer {
	r.t.Helper()
	id, req := r.ring(pairs...)
	if err := r.op.Approve(r.t.Context(), req.ID, provider.Approval{}); err != nil {
		r.t.Fatal(err)
	}
	a := r.poll(id)
	if a.status != 200 {
		r.t.Fatalf("token: %d %v", a.status, a.json)
	}
	return a
}

const anna = "u-5kq2m7xd"

// want checks an error answer.
func (a answer) want(t testing.TB, status int, code string) {
	t.Helper()
	if a.status != status || a.str("error") != code {
		t.Errorf("got %d %q (%s), want %d %q", a.status, a.str("error"), a.str("error_description"), status, code)
	}
}

// open verifies a JWT with the keys the provider publishes and returns header
// type and claims.
func (r *rig) open(raw string) (string, map[string]any) {
	r.t.Helper()
	resp, err := r.http.Get(issuer + "/jwks")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&keys); err != nil {
		r.t.Fatal(err)
	}
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		r.t.Fatal(err)
	}
	claims := map[string]any{}
	if err := token.Claims(keys.Key(token.Headers[0].KeyID)[0].Key, &claims); err != nil {
		r.t.Fatal(err)
	}
	typ, _ := token.Headers[0].ExtraHeaders[jose.HeaderType].(string)
	return typ, claims
}

// assertion makes a client assertion (RFC 7523).
func assertion(t testing.TB, key *ecdsa.PrivateKey, client, jti string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: client, Subject: client, Audience: jwt.Audience{issuer}, ID: jti,
		IssuedAt: jwt.NewNumericDate(time.Now()), Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
