package ciba_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/go-jose/go-jose/v4"
)

// certificate is an Authenticator for a client that the TLS layer proves.
type certificate struct{}

func (certificate) Method() string { return "tls_client_auth" }

func (certificate) Authenticate(id ciba.Identity, form url.Values, _ http.Header) error {
	form.Set("client_id", id.ClientID)
	return nil
}

func TestClientSecrets(t *testing.T) {
	const id, secret = "till:7", `p%+& ü":/` // everything that needs encoding
	for _, tc := range []struct {
		name string
		auth ciba.Authenticator
		ok   bool
	}{
		{"basic", ciba.ClientSecretBasic(secret), true},
		{"post", ciba.ClientSecretPost(secret), true},
		{"basic, wrong", ciba.ClientSecretBasic("wrong"), false},
		{"post, wrong", ciba.ClientSecretPost("wrong"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := quick()
				op.ClientID, op.ClientSecret = id, secret
				client := newClient(t, op, func(cfg *ciba.Config) { cfg.ClientID, cfg.Auth = id, tc.auth })
				err := redeem(t, client)
				if tc.ok && err != nil {
					t.Error(err)
				}
				if !tc.ok {
					wantClasses(t, err, ciba.ErrInvalidClient)
				}
			})
		})
	}
}

func TestPrivateKeyJWT(t *testing.T) {
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	for _, tc := range []struct {
		name string
		key  crypto.Signer
		alg  string
		want string
	}{
		{"ES256", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), "", "ES256"},
		{"ES384", must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), "", "ES384"},
		{"ES512", must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)), "", "ES512"},
		{"EdDSA", ed25519.NewKeyFromSeed(make([]byte, 32)), "", "EdDSA"},
		{"PS256", rsaKey, "", "PS256"},
		{"RS256 on demand", rsaKey, "RS256", "RS256"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := quick()
				op.ClientKeys = []jose.JSONWebKey{{Key: tc.key.Public(), KeyID: "k1", Algorithm: tc.want, Use: "sig"}}
				auth, err := ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: opaqueKey{tc.key}, KeyID: "k1", Algorithm: tc.alg})
				if err != nil {
					t.Fatal(err)
				}
				// The provider refuses a jti it has seen, so each request needs its own.
				if err := redeem(t, newClient(t, op, func(cfg *ciba.Config) { cfg.Auth = auth })); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// opaqueKey hides everything but the interface, as a key in hardware does.
type opaqueKey struct{ crypto.Signer }

func TestAssertion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := must(rsa.GenerateKey(rand.Reader, 2048))
		auth := must(ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: key, KeyID: "k1"}))
		form := url.Values{}
		if err := auth.Authenticate(ciba.Identity{ClientID: "till-7", Issuer: "https://op.test/"}, form, http.Header{}); err != nil {
			t.Fatal(err)
		}
		if form.Get("client_id") != "till-7" || form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			t.Errorf("form lacks the client or the assertion type")
		}
		jws := must(jose.ParseSignedCompact(form.Get("client_assertion"), []jose.SignatureAlgorithm{jose.PS256}))
		if h := jws.Signatures[0].Protected; h.KeyID != "k1" || h.ExtraHeaders["typ"] != "JWT" {
			t.Errorf("header is %+v", h)
		}
		var claims map[string]any
		if err := json.Unmarshal(must(jws.Verify(&key.PublicKey)), &claims); err != nil {
			t.Fatal(err)
		}
		now := float64(time.Now().Unix())
		jti, _ := claims["jti"].(string)
		delete(claims, "jti")
		want := map[string]any{"iss": "till-7", "sub": "till-7", "aud": "https://op.test/", "iat": now, "exp": now + 60}
		if len(claims) != len(want) || len(jti) < 22 {
			t.Errorf("claims are %v with jti of %d characters", claims, len(jti))
		}
		for name, value := range want {
			if claims[name] != value {
				t.Errorf("%s is %v, want %v", name, claims[name], value)
			}
		}
		checkSalt(t, &key.PublicKey, form.Get("client_assertion"))
	})
}

// checkSalt: RFC 7518 section 3.5 has the salt as long as the hash; lenient
// verifiers do not notice another length, strict ones refuse it.
func checkSalt(t *testing.T, key *rsa.PublicKey, assertion string) {
	t.Helper()
	signed, encoded := assertion[:strings.LastIndexByte(assertion, '.')], assertion[strings.LastIndexByte(assertion, '.')+1:]
	h := crypto.SHA256.New()
	io.WriteString(h, signed)
	opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	if err := rsa.VerifyPSS(key, crypto.SHA256, h.Sum(nil), decode64(t, encoded), opts); err != nil {
		t.Errorf("PS256 signature: %v", err)
	}
}

func TestPrivateKeyErrors(t *testing.T) {
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for _, tc := range []struct {
		name  string
		key   ciba.PrivateKey
		field string
	}{
		{"no key", ciba.PrivateKey{}, "Signer"},
		{"curve", ciba.PrivateKey{Signer: p224}, "Signer"},
		{"alg of another kind", ciba.PrivateKey{Signer: p256, Algorithm: "PS256"}, "Algorithm"},
		{"alg of another curve", ciba.PrivateKey{Signer: p256, Algorithm: "ES384"}, "Algorithm"},
		{"HMAC", ciba.PrivateKey{Signer: p256, Algorithm: "HS256"}, "Algorithm"},
		{"none", ciba.PrivateKey{Signer: p256, Algorithm: "none"}, "Algorithm"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ciba.PrivateKeyJWT(tc.key)
			wantField(t, err, tc.field)
		})
	}
}

// brokenKey is a device that does not sign, or signs rubbish.
type brokenKey struct {
	crypto.Signer
	signature []byte
}

var errDevice = errors.New("device not responding")

func (k brokenKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	if k.signature == nil {
		return nil, errDevice
	}
	return k.signature, nil
}

func TestBrokenKey(t *testing.T) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for name, signature := range map[string][]byte{"silent": nil, "rubbish": []byte("rubbish"), "zero": {0x30, 6, 2, 1, 0, 2, 1, 0}} {
		t.Run(name, func(t *testing.T) {
			op := quick()
			auth := must(ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: brokenKey{key, signature}}))
			client := newClient(t, op, func(cfg *ciba.Config) { cfg.Auth = auth })
			_, err := client.RequestAuthentication(t.Context(), anna())
			wantClasses(t, err, ciba.ErrUnavailable)
			if signature == nil && !errors.Is(err, errDevice) {
				t.Errorf("error %v hides the cause", err)
			}
			if op.Stats().Backchannel != 0 {
				t.Error("something was sent")
			}
		})
	}
}
