package ciba_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/go-jose/go-jose/v4"
)

// signing returns a provider that demands requests signed with key, and how to
// sign them.
func signing(key crypto.Signer, alg string) (*cibatest.Provider, *ciba.RequestSigning) {
	op := quick()
	op.RequestAlgs, op.RequireSignedRequest = []string{alg}, true
	op.ClientKeys = []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1"}}
	return op, &ciba.RequestSigning{Key: ciba.PrivateKey{Signer: opaqueKey{key}, KeyID: "k1"}}
}

func full() ciba.AuthenticationRequest {
	req := anna()
	req.RequestedExpiry = 90 * time.Second
	req.ACRValues = []string{"urn:a", "urn:b"}
	req.AuthorizationDetails = raw(`{"type":"seat", "n":[1]}`)
	req.Resource = []string{"urn:x", "urn:y"}
	req.Audience = "https://api.test"
	req.RequestContext = json.RawMessage(`{"place":{"lat":1.0}}`)
	req.Extra = url.Values{"claims": {`{"id_token":{"acr":null}}`}, "tag": {"a"}}
	return req
}

// TestSignedRequest: a provider that is strict about everything hears the same
// as from an unsigned request, with every way to authenticate.
func TestSignedRequest(t *testing.T) {
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for name, tc := range map[string]struct {
		key   crypto.Signer
		alg   string
		auth  ciba.Authenticator
		twice bool
	}{
		"PS256":           {rsaKey, "PS256", ciba.ClientSecretBasic(cibatest.ClientSecret), false},
		"ES256":           {p256, "ES256", ciba.ClientSecretPost(cibatest.ClientSecret), false},
		"private_key_jwt": {p256, "ES256", must(ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: p256, KeyID: "k1"})), false},
		"client_id twice": {p256, "ES256", ciba.ClientSecretBasic(cibatest.ClientSecret), true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op, how := signing(tc.key, tc.alg)
				op.Like.Parameters.ClientIDTwice = tc.twice
				var got url.Values
				op.OnRequest = func(r cibatest.Request) { got = r.Params }
				client := newClient(t, op, func(cfg *ciba.Config) {
					cfg.Auth, cfg.RequestSigning, cfg.Profile = tc.auth, how, op.Like
				})
				for range 2 { // a jti is good once
					ring(t, client, full())
				}
				want := url.Values{
					"scope": {"openid"}, "login_hint": {"anna@example.com"}, "binding_message": {"4K7-P2X"},
					"requested_expiry": {"90"}, "acr_values": {"urn:a urn:b"}, "resource": {"urn:x", "urn:y"},
					"audience": {"https://api.test"}, "authorization_details": {`[{"type":"seat","n":[1]}]`},
					"request_context": {`{"place":{"lat":1.0}}`}, "claims": {`{"id_token":{"acr":null}}`}, "tag": {"a"},
				}
				if got.Encode() != want.Encode() {
					t.Errorf("provider read %v, want %v", got, want)
				}
				if err := redeem(t, client); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// capture returns the form of one authentication request.
func capture(t *testing.T, op *cibatest.Provider, client *ciba.Client) url.Values {
	t.Helper()
	var form url.Values
	op.Backchannel = cibatest.Always(func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		truth(w, r)
		form = r.PostForm
	})
	ring(t, client, full())
	return form
}

// TestSignedRequestClaims: each claim, as it is and of the type it must have.
func TestSignedRequestClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		op, how := signing(key, "ES256")
		how.Lifetime = ciba.MaxRequestLife
		form := capture(t, op, newClient(t, op, func(cfg *ciba.Config) { cfg.RequestSigning = how }))
		if len(form) != 1 {
			t.Errorf("beside the signed request: %d parameters", len(form)-1)
		}
		jws := must(jose.ParseSignedCompact(form.Get("request"), []jose.SignatureAlgorithm{jose.ES256}))
		if kid := jws.Signatures[0].Protected.KeyID; kid != "k1" {
			t.Errorf("kid is %q", kid)
		}
		var claims map[string]any
		if err := json.Unmarshal(must(jws.Verify(key.Public())), &claims); err != nil {
			t.Fatal(err)
		}
		now := float64(time.Now().Unix())
		if jti, _ := claims["jti"].(string); len(jti) < 22 {
			t.Errorf("jti has %d characters", len(jti))
		}
		for name, want := range map[string]any{
			"iss": cibatest.ClientID, "aud": op.IssuerURL(), "iat": now, "nbf": now - 10, "exp": now + 59*60,
			"requested_expiry": 90.0, "scope": "openid",
		} {
			if claims[name] != want {
				t.Errorf("%s is %v, want %v", name, claims[name], want)
			}
		}
		for _, name := range []string{"sub", "request", "client_id", "client_secret", "user_code", "login_hint_token"} {
			if _, ok := claims[name]; ok {
				t.Errorf("%s is inside", name)
			}
		}
		if _, ok := claims["authorization_details"].([]any); !ok {
			t.Error("authorization_details are not JSON")
		}
		if _, ok := claims["claims"].(map[string]any); !ok {
			t.Error("claims are not JSON")
		}
	})
}

// TestStrictness: the provider of these tests notices each deviation, or the
// tests above would prove nothing.
func TestStrictness(t *testing.T) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for name, edit := range map[string]func(claims map[string]any, form url.Values){
		"hint outside":  func(_ map[string]any, f url.Values) { f.Set("login_hint", "bela") },
		"scope outside": func(_ map[string]any, f url.Values) { f.Set("scope", "openid") },
		"aud an array":  func(c map[string]any, _ url.Values) { c["aud"] = []string{"https://op.test"} },
		"aud endpoint":  func(c map[string]any, _ url.Values) { c["aud"] = "https://op.test/bc-authorize" },
		"no aud":        func(c map[string]any, _ url.Values) { delete(c, "aud") },
		"iss":           func(c map[string]any, _ url.Values) { c["iss"] = "bela" },
		"no iat":        func(c map[string]any, _ url.Values) { delete(c, "iat") },
		"no nbf":        func(c map[string]any, _ url.Values) { delete(c, "nbf") },
		"no exp":        func(c map[string]any, _ url.Values) { delete(c, "exp") },
		"exp null":      func(c map[string]any, _ url.Values) { c["exp"] = nil },
		"no jti":        func(c map[string]any, _ url.Values) { delete(c, "jti") },
		"too long": func(c map[string]any, _ url.Values) {
			c["exp"] = time.Now().Unix() + 3600
			c["nbf"] = time.Now().Unix() - 1
		},
		"expired":           func(c map[string]any, _ url.Values) { c["exp"] = time.Now().Unix() },
		"future":            func(c map[string]any, _ url.Values) { c["nbf"] = time.Now().Unix() + 1 },
		"sub":               func(c map[string]any, _ url.Values) { c["sub"] = cibatest.ClientID },
		"request inside":    func(c map[string]any, _ url.Values) { c["request"] = "x" },
		"client_id inside":  func(c map[string]any, _ url.Values) { c["client_id"] = cibatest.ClientID },
		"binding a null":    func(c map[string]any, _ url.Values) { c["binding_message"] = nil },
		"two hints":         func(c map[string]any, _ url.Values) { c["id_token_hint"] = "x" },
		"untouched is good": nil,
	} {
		t.Run(name, func(t *testing.T) {
			op, _ := signing(key, "ES256")
			now := time.Now().Unix()
			claims := map[string]any{
				"iss": cibatest.ClientID, "aud": op.IssuerURL(), "iat": now, "nbf": now, "exp": now + 300, "jti": rand.Text(),
				"scope": "openid", "login_hint": "anna",
			}
			form := url.Values{"client_id": {cibatest.ClientID}, "client_secret": {cibatest.ClientSecret}}
			want := http.StatusOK
			if edit != nil {
				edit(claims, form)
				want = http.StatusBadRequest
			}
			signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil))
			jws := must(signer.Sign(must(json.Marshal(claims))))
			form.Set("request", must(jws.CompactSerialize()))
			resp, err := op.Client().PostForm(op.IssuerURL()+"/bc-authorize", form)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("status %d, want %d", resp.StatusCode, want)
			}
		})
	}
}

func TestRequestSigningErrors(t *testing.T) {
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	for name, tc := range map[string]struct {
		how   ciba.RequestSigning
		field string
	}{
		"no key":        {ciba.RequestSigning{}, "Signer"},
		"no kid":        {ciba.RequestSigning{Key: ciba.PrivateKey{Signer: p256}}, "RequestSigning"},
		"RS256":         {ciba.RequestSigning{Key: ciba.PrivateKey{Signer: rsaKey, KeyID: "k", Algorithm: "RS256"}}, "RequestSigning"},
		"ES384":         {ciba.RequestSigning{Key: ciba.PrivateKey{Signer: p384, KeyID: "k"}}, "RequestSigning"},
		"long life":     {ciba.RequestSigning{Key: ciba.PrivateKey{Signer: p256, KeyID: "k"}, Lifetime: time.Hour}, "RequestSigning"},
		"negative life": {ciba.RequestSigning{Key: ciba.PrivateKey{Signer: p256, KeyID: "k"}, Lifetime: -time.Second}, "RequestSigning"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ciba.New(ciba.Config{Issuer: "https://op.test", ClientID: "c", Auth: ciba.ClientSecretPost("s"), RequestSigning: &tc.how})
			wantField(t, err, tc.field)
		})
	}
}

// TestSigningUnsupported: the metadata decides before anything is sent.
func TestSigningUnsupported(t *testing.T) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for name, algs := range map[string][]string{"none": nil, "another": {"PS256"}, "empty": {}} {
		t.Run(name, func(t *testing.T) {
			op, how := signing(key, "ES256")
			op.RequestAlgs = algs
			_, err := newClient(t, op, func(cfg *ciba.Config) { cfg.RequestSigning = how }).RequestAuthentication(t.Context(), anna())
			wantField(t, err, "RequestSigning")
			if op.Stats().Backchannel != 0 {
				t.Error("something was sent")
			}
		})
	}
}

// TestSigningDeviceAway: a key that does not sign now may sign later.
func TestSigningDeviceAway(t *testing.T) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	op, how := signing(key, "ES256")
	how.Key.Signer = brokenKey{key, nil}
	_, err := newClient(t, op, func(cfg *ciba.Config) { cfg.RequestSigning = how }).RequestAuthentication(t.Context(), anna())
	wantClasses(t, err, ciba.ErrUnavailable)
	if !errors.Is(err, errDevice) || op.Stats().Backchannel != 0 {
		t.Errorf("error is %v, or something was sent", err)
	}
}
