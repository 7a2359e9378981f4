package ciba_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest/hostile"
)

func claim(name string, value any) func(*cibatest.Draft) {
	return func(d *cibatest.Draft) { edits(name, value)(d.Claims) }
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

// TestForgedIDToken holds each forgery to the exact check, and to an error text
// without any part of the token.
func TestForgedIDToken(t *testing.T) {
	for _, f := range hostile.Forgeries() {
		t.Run(f.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var raw string
				op := f.Provider()
				op.AutoApprove = time.Second
				op.EditTokens = func(m map[string]any) { raw = m["id_token"].(string) }
				err := strictSignIn(t, op)
				var e *ciba.IDTokenError
				if !errors.As(err, &e) {
					t.Fatalf("error is %v, want an *IDTokenError", err)
				}
				if e.Check != f.Check {
					t.Errorf("refused for %q (%v), want %q", e.Check, err, f.Check)
				}
				for _, part := range append(strings.Split(raw, "."), hostile.Person, "bela@example.com") {
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
	expect := hostile.Expect(time.Now())
	expect.RequireAuthTime = true
	ack := ring(t, client, hostile.Request())
	_, err := client.Wait(t.Context(), ack, expect)
	return err
}

// TestGoodIDToken: unusual, but right.
func TestGoodIDToken(t *testing.T) {
	for _, f := range []struct {
		name, alg string
		edit      func(*cibatest.Draft)
	}{
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
