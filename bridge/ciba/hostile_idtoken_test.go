package ciba_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// A forgery is an ID token that must be refused, and the check that must notice.
type forgery struct {
	name  string
	check ciba.Check
	edit  func(*cibatest.Draft)
	alg   string // of the provider; "" for ES256
}

func claim(name string, value any) func(*cibatest.Draft) {
	return func(d *cibatest.Draft) { edits(name, value)(d.Claims) }
}

// after is a NumericDate that far from now.
func after(name string, d time.Duration) func(*cibatest.Draft) {
	return func(draft *cibatest.Draft) { draft.Claims[name] = time.Now().Add(d).Unix() }
}

func header(name string, value any) func(*cibatest.Draft) {
	return func(d *cibatest.Draft) { d.Header[name] = value }
}

func must[K any](key K, err error) K {
	if err != nil {
		panic(err)
	}
	return key
}

func forgeries() []forgery {
	return []forgery{
		{name: "wrong key", check: ciba.CheckSignature, edit: func(d *cibatest.Draft) { d.Key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }},
		{name: "unknown kid", check: ciba.CheckKey, edit: func(d *cibatest.Draft) { d.KeyID = "another" }},
		{name: "alg none", check: ciba.CheckAlg, edit: func(d *cibatest.Draft) { d.Algorithm = "none" }},
		{name: "alg HS256 with the public key", check: ciba.CheckAlg, edit: func(d *cibatest.Draft) {
			d.Algorithm, d.Key = "HS256", must(d.Key.(*ecdsa.PrivateKey).PublicKey.Bytes())
		}},
		{name: "alg HS256 with the client secret", check: ciba.CheckAlg, edit: func(d *cibatest.Draft) {
			d.Algorithm, d.Key = "HS256", []byte(strings.Repeat(cibatest.ClientSecret, 8))
		}},
		{name: "alg of another curve", check: ciba.CheckKey, edit: func(d *cibatest.Draft) {
			d.Algorithm, d.Key = "ES384", must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
		}},
		{name: "alg of another kind", check: ciba.CheckKey, edit: func(d *cibatest.Draft) {
			d.Algorithm, d.Key = "RS256", must(rsa.GenerateKey(rand.Reader, 2048))
		}},
		{name: "alg RS256 with a PS256 key", check: ciba.CheckKey, alg: "PS256", edit: func(d *cibatest.Draft) { d.Algorithm = "RS256" }},
		{name: "typ of an access token", check: ciba.CheckTyp, edit: header("typ", "at+jwt")},
		{name: "typ of a logout token", check: ciba.CheckTyp, edit: header("typ", "logout+jwt")},
		{name: "critical extension", check: ciba.CheckForm, edit: header("crit", []string{"b64"})},
		{name: "iss of another", check: ciba.CheckIssuer, edit: claim("iss", "https://evil.test")},
		{name: "iss with a slash more", check: ciba.CheckIssuer, edit: claim("iss", "https://op.test/")},
		{name: "iss missing", check: ciba.CheckIssuer, edit: claim("iss", nil)},
		{name: "iss a list", check: ciba.CheckIssuer, edit: claim("iss", []string{"https://op.test"})},
		{name: "sub of another person", check: ciba.CheckSubject, edit: claim("sub", "bela@example.com")},
		{name: "sub missing", check: ciba.CheckSubject, edit: claim("sub", nil)},
		{name: "sub empty", check: ciba.CheckSubject, edit: claim("sub", "")},
		{name: "sub a number", check: ciba.CheckSubject, edit: claim("sub", 7)},
		{name: "sub too long", check: ciba.CheckSubject, edit: claim("sub", strings.Repeat("x", 256))},
		{name: "sub with a zero byte", check: ciba.CheckSubject, edit: claim("sub", "anna@example.com\x00")},
		{name: "aud of another", check: ciba.CheckAudience, edit: claim("aud", "another-client")},
		{name: "aud missing", check: ciba.CheckAudience, edit: claim("aud", nil)},
		{name: "aud an empty list", check: ciba.CheckAudience, edit: claim("aud", []string{})},
		{name: "aud a list of numbers", check: ciba.CheckAudience, edit: claim("aud", []int{1})},
		{name: "aud an object", check: ciba.CheckAudience, edit: claim("aud", map[string]any{})},
		{name: "two aud without azp", check: ciba.CheckParty, edit: claim("aud", []string{cibatest.ClientID, "another"})},
		{name: "azp of another", check: ciba.CheckParty, edit: claim("azp", "another")},
		{name: "exp past", check: ciba.CheckExpiry, edit: after("exp", -61*time.Second)},
		{name: "exp missing", check: ciba.CheckExpiry, edit: claim("exp", nil)},
		{name: "exp a string", check: ciba.CheckExpiry, edit: claim("exp", "4102444800")},
		{name: "exp beyond the calendar", check: ciba.CheckExpiry, edit: claim("exp", 1e15)},
		{name: "exp negative", check: ciba.CheckExpiry, edit: claim("exp", -1)},
		{name: "iat in the future", check: ciba.CheckIssuedAt, edit: after("iat", 62*time.Second)},
		{name: "iat before the request", check: ciba.CheckIssuedAt, edit: after("iat", -72*time.Second)},
		{name: "iat missing", check: ciba.CheckIssuedAt, edit: claim("iat", nil)},
		{name: "nbf in the future", check: ciba.CheckNotBefore, edit: after("nbf", 62*time.Second)},
		{name: "nbf a string", check: ciba.CheckNotBefore, edit: claim("nbf", "soon")},
		{name: "acr too weak", check: ciba.CheckACR, edit: claim("acr", "urn:weak")},
		{name: "acr missing", check: ciba.CheckACR, edit: claim("acr", nil)},
		{name: "acr a number", check: ciba.CheckACR, edit: claim("acr", 2)},
		{name: "auth_time before the request", check: ciba.CheckAuthTime, edit: after("auth_time", -72*time.Second)},
		{name: "auth_time in the future", check: ciba.CheckAuthTime, edit: after("auth_time", 62*time.Second)},
		{name: "auth_time missing", check: ciba.CheckAuthTime, edit: claim("auth_time", nil)},
		{name: "at_hash of another token", check: ciba.CheckAtHash, edit: func(d *cibatest.Draft) { d.Claims["at_hash"] = d.Hash("another") }},
		{name: "at_hash whole instead of half", check: ciba.CheckAtHash, edit: func(d *cibatest.Draft) { d.Claims["at_hash"] = d.Claims["at_hash"].(string) + "AAAA" }},
		{name: "at_hash a number", check: ciba.CheckAtHash, edit: claim("at_hash", 1)},
		{name: "rt_hash of another token", check: ciba.CheckRtHash, edit: func(d *cibatest.Draft) { d.Claims[string(ciba.CheckRtHash)] = d.Hash("another") }},
		{name: "auth_req_id of another request", check: ciba.CheckAuthReqID, edit: claim(string(ciba.CheckAuthReqID), "another")},
	}
}

// hostileIDTokens are the forgeries that need no special expectation.
func hostileIDTokens() []hostile {
	refused := classes(ciba.ErrIDToken, ciba.ErrProtocol)
	list := []hostile{
		{name: "id_token missing", op: &cibatest.Provider{EditTokens: edits("id_token", nil)}, classes: refused, says: "id_token"},
		{name: "id_token empty", op: &cibatest.Provider{EditTokens: edits("id_token", "")}, classes: refused},
		{name: "id_token a number", op: &cibatest.Provider{EditTokens: edits("id_token", 1)}, classes: violation},
		{name: "id_token too large", op: &cibatest.Provider{EditTokens: edits("id_token", strings.Repeat("x", 33<<10))}, classes: violation},
		{name: "id_token garbage", op: &cibatest.Provider{EditTokens: edits("id_token", "a.b.c")}, classes: refused, says: "form"},
		{name: "id_token encrypted", op: &cibatest.Provider{EditTokens: edits("id_token", "a.b.c.d.e")}, classes: refused, says: "5 parts"},
		{name: "id_token an access token", op: &cibatest.Provider{EditTokens: func(m map[string]any) { m["id_token"] = m["access_token"] }}, classes: refused},
	}
	for _, f := range forgeries() {
		if f.check == ciba.CheckACR || f.name == "auth_time missing" {
			continue // these need an expectation, see TestForgedIDToken
		}
		list = append(list, hostile{name: "ID token: " + f.name, op: &cibatest.Provider{EditIDToken: f.edit, Algorithm: f.alg, RefreshTokens: true}, classes: refused, says: string(f.check)})
	}
	for i := range list {
		list[i].took, list[i].redeemed = 10*time.Second, 1
	}
	return list
}

// TestForgedIDToken holds each forgery to the exact check, and to an error text
// without any part of the token.
func TestForgedIDToken(t *testing.T) {
	for _, f := range forgeries() {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var raw string
				op := &cibatest.Provider{Algorithm: f.alg, AutoApprove: time.Second, RefreshTokens: true, EditIDToken: f.edit,
					EditTokens: func(m map[string]any) { raw = m["id_token"].(string) }}
				err := strictSignIn(t, op)
				var e *ciba.IDTokenError
				if !errors.As(err, &e) {
					t.Fatalf("error is %v, want an *IDTokenError", err)
				}
				if e.Check != f.check {
					t.Errorf("refused for %q (%v), want %q", e.Check, err, f.check)
				}
				for _, part := range append(strings.Split(raw, "."), "anna@example.com", "bela@example.com") {
					if part != "" && strings.Contains(err.Error(), part) {
						t.Errorf("error %q contains a part of the token", err)
					}
				}
			})
		})
	}
}

// strictSignIn signs Anna in and expects all that can be expected.
func strictSignIn(t *testing.T, op *cibatest.Provider) error {
	client := newClient(t, op, func(cfg *ciba.Config) {
		if op.Algorithm != "" {
			cfg.IDTokenAlgs = []string{op.Algorithm, "RS256"}
		}
	})
	req := anna()
	req.ACRValues = []string{"urn:strong", "urn:stronger"}
	expect := ciba.Expect{Subject: "anna@example.com", ACRValues: req.ACRValues, RequestedAt: time.Now(), RequireAuthTime: true}
	ack := ring(t, client, req)
	_, err := client.Wait(t.Context(), ack, expect)
	return err
}

// TestGoodIDToken: unusual, but right.
func TestGoodIDToken(t *testing.T) {
	for _, f := range []forgery{
		{name: "plain"},
		{name: "ES384", alg: "ES384"},
		{name: "ES512", alg: "ES512"},
		{name: "EdDSA", alg: "EdDSA"},
		{name: "PS256", alg: "PS256"},
		{name: "RS256", alg: "RS256"},
		{name: "no kid", edit: func(d *cibatest.Draft) { d.KeyID = "" }},
		{name: "typ JWT", edit: header("typ", "JWT")},
		{name: "typ jwt", edit: header("typ", "jwt")},
		{name: "aud a list", edit: claim("aud", []string{cibatest.ClientID})},
		{name: "two aud with azp", edit: func(d *cibatest.Draft) {
			d.Claims["aud"], d.Claims["azp"] = []string{"api", cibatest.ClientID}, cibatest.ClientID
		}},
		{name: "no at_hash", edit: claim("at_hash", nil)},
		{name: "clock a little late", edit: func(d *cibatest.Draft) {
			now := time.Now().Unix()
			d.Claims["iat"], d.Claims["nbf"], d.Claims["auth_time"] = now+59, now+59, now+59
		}},
		{name: "clock a little early", edit: func(d *cibatest.Draft) {
			now := time.Now().Unix()
			d.Claims["iat"], d.Claims["auth_time"], d.Claims["exp"] = now-64, now-64, now-59
		}},
		{name: "dates with fractions", edit: func(d *cibatest.Draft) { d.Claims["iat"] = float64(time.Now().Unix()) + 0.25 }},
		{name: "null members", edit: claim("azp", (*string)(nil))},
		{name: "push claims", edit: func(d *cibatest.Draft) {
			d.Claims[string(ciba.CheckAuthReqID)] = d.Request.AuthReqID
			d.Claims[string(ciba.CheckRtHash)] = d.Hash(d.RefreshToken)
		}},
	} {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := &cibatest.Provider{Algorithm: f.alg, AutoApprove: time.Second, RefreshTokens: true, EditIDToken: f.edit}
				if err := strictSignIn(t, op); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
