package ciba_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/go-jose/go-jose/v4"
)

// quick approves at once, so that one token request suffices.
func quick() *cibatest.Provider {
	return &cibatest.Provider{AutoApprove: time.Nanosecond}
}

func redeem(t *testing.T, client *ciba.Client) error {
	t.Helper()
	ack, err := client.RequestAuthentication(t.Context(), anna())
	if err != nil {
		return err
	}
	time.Sleep(ack.Interval)
	_, err = client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
	return err
}

func TestMetadataIsKeptForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := quick()
		op.Discovery = func(n int) cibatest.Fault {
			if n == 0 {
				return nil
			}
			return cibatest.Busy(503, 0)
		}
		client := newClient(t, op)
		for range 59 {
			mustMetadata(t, client)
			time.Sleep(time.Minute)
		}
		if n := op.Stats().Discovery; n != 1 {
			t.Fatalf("%d discoveries in 59 minutes, want 1", n)
		}
		// The provider's discovery fails from now on; the last good one is used,
		// and the failure is not repeated more often than every five seconds.
		time.Sleep(time.Minute)
		for range 30 {
			mustMetadata(t, client)
			time.Sleep(time.Second)
		}
		if n := op.Stats().Discovery; n != 7 {
			t.Errorf("%d discoveries, want 1 and then 6 in 30 seconds", n)
		}
	})
}

func mustMetadata(t *testing.T, client *ciba.Client) {
	t.Helper()
	if _, err := client.Metadata(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestProviderComesUpLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := quick()
		op.Discovery = cibatest.Sequence(cibatest.Busy(503, 0), cibatest.HTML(200))
		client := newClient(t, op)
		wantClasses(t, redeem(t, client), ciba.ErrUnavailable)
		wantClasses(t, redeem(t, client), ciba.ErrUnavailable) // the same failure, not asked again
		time.Sleep(5 * time.Second)
		wantClasses(t, redeem(t, client), ciba.ErrProtocol)
		time.Sleep(5 * time.Second)
		if err := redeem(t, client); err != nil {
			t.Error(err)
		}
		if n := op.Stats().Discovery; n != 3 {
			t.Errorf("%d discoveries, want 3", n)
		}
	})
}

func TestKeyRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := quick()
		client := newClient(t, op)
		for i := range 3 {
			if err := redeem(t, client); err != nil {
				t.Fatalf("after %d rotations: %v", i, err)
			}
			time.Sleep(10 * time.Second)
			op.RotateKey()
		}
		if n := op.Stats().Keys; n != 3 {
			t.Errorf("%d key fetches, want one for each key", n)
		}
	})
}

// TestKeyChoice: which keys of a set may verify.
func TestKeyChoice(t *testing.T) {
	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public()
	for _, tc := range []struct {
		name  string
		keys  func(own jose.JSONWebKey) []any
		noKID bool
		check ciba.Check
	}{
		{"own among strangers", func(own jose.JSONWebKey) []any {
			return []any{map[string]any{"kty": "new"}, jose.JSONWebKey{Key: other, KeyID: "a"}, own, nil, 7}
		}, false, ""},
		{"two of one name", func(own jose.JSONWebKey) []any {
			return []any{jose.JSONWebKey{Key: other, KeyID: own.KeyID}, own}
		}, false, ""},
		{"for encryption", func(own jose.JSONWebKey) []any {
			own.Use = "enc"
			return []any{jose.JSONWebKey{Key: other, KeyID: "a"}, own}
		}, false, ciba.CheckKey},
		{"for another algorithm", func(own jose.JSONWebKey) []any {
			own.Algorithm = "ES512"
			return []any{own}
		}, false, ciba.CheckKey},
		{"no use and no algorithm", func(own jose.JSONWebKey) []any {
			own.Use, own.Algorithm = "", ""
			return []any{own}
		}, false, ""},
		{"no kid, one key", func(own jose.JSONWebKey) []any { return []any{own} }, true, ""},
		{"no kid, two keys", func(own jose.JSONWebKey) []any {
			return []any{own, jose.JSONWebKey{Key: other, KeyID: "a"}}
		}, true, ciba.CheckKey},
		{"no kid, another kind beside", func(own jose.JSONWebKey) []any {
			return []any{own, jose.JSONWebKey{Key: must(rsa.GenerateKey(rand.Reader, 2048)).Public(), KeyID: "a"}}
		}, true, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := quick()
				op.EditKeys = func(m map[string]any) { m["keys"] = tc.keys(m["keys"].([]any)[0].(jose.JSONWebKey)) }
				op.EditIDToken = func(d *cibatest.Draft) {
					if tc.noKID {
						d.KeyID = ""
					}
				}
				wantCheck(t, redeem(t, newClient(t, op)), tc.check)
			})
		})
	}
}

// TestUnknownKeysAreNoLever: tokens with unknown kids must not make the client
// hammer the key set, and a failing key set must not cost it the keys it has.
func TestUnknownKeysAreNoLever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := quick()
		op.Keys = func(n int) cibatest.Fault {
			if n == 0 {
				return nil
			}
			return cibatest.Busy(500, 0)
		}
		var stray bool
		op.EditIDToken = func(d *cibatest.Draft) {
			if stray {
				d.KeyID = "stray"
			}
		}
		client := newClient(t, op)
		if err := redeem(t, client); err != nil {
			t.Fatal(err)
		}
		stray = true
		for range 20 { // takes 100 seconds
			var e *ciba.IDTokenError
			if err := redeem(t, client); !errors.As(err, &e) || e.Check != ciba.CheckKey {
				t.Fatalf("error %v, want one about kid", err)
			}
		}
		if n := op.Stats().Keys; n != 11 {
			t.Errorf("%d key fetches, want 1 and then one every 10 seconds", n)
		}
		stray = false
		time.Sleep(24 * time.Hour)
		if err := redeem(t, client); err != nil {
			t.Errorf("with the last good keys: %v", err)
		}
	})
}

// TestNoPhoneRingsWithoutKeys: an ID token that cannot be verified would waste
// the person's consent.
func TestNoPhoneRingsWithoutKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{Keys: cibatest.Always(cibatest.Hang())}
		wantClasses(t, redeem(t, newClient(t, op)), ciba.ErrUnavailable)
		if s := op.Stats(); s.Backchannel != 0 {
			t.Error("the provider was asked to ring")
		}
	})
}

// TestCrowd: many callers at once cause one discovery and one key fetch, and
// one that gives up while fetching does not spoil it for the others.
func TestCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := quick()
		op.Discovery = cibatest.Always(cibatest.Delay(2 * time.Second))
		client := newClient(t, op)
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go client.Metadata(impatient)
		synctest.Wait()
		var crowd sync.WaitGroup
		for range 100 {
			crowd.Go(func() {
				if err := redeem(t, client); err != nil {
					t.Error(err)
				}
			})
		}
		crowd.Wait()
		s := op.Stats()
		if s.Discovery != 2 || s.Keys != 1 || s.Redeemed != 100 {
			t.Errorf("provider saw %+v, want 2 discoveries (one given up) and 1 key fetch for 100 sign-ins", s)
		}
	})
}

func TestStaticMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := quick()
		client := newClient(t, op, func(cfg *ciba.Config) {
			cfg.Issuer = ""
			cfg.Metadata = &ciba.Metadata{
				Issuer:                            "https://op.test",
				TokenEndpoint:                     "https://op.test/token",
				BackchannelAuthenticationEndpoint: "https://op.test/bc-authorize",
				JWKSURI:                           "https://op.test/jwks",
			}
		})
		if err := redeem(t, client); err != nil {
			t.Error(err)
		}
		if n := op.Stats().Discovery; n != 0 {
			t.Errorf("%d discoveries in spite of static metadata", n)
		}
	})
}

// TestOldIsBetterThanSlow: when metadata and keys are due again but do not come,
// polls go on with the old ones.
func TestOldIsBetterThanSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := quick()
		once := func(n int) cibatest.Fault {
			if n == 0 {
				return nil
			}
			return cibatest.Hang()
		}
		op.Discovery, op.Keys = once, once
		client := newClient(t, op)
		if err := redeem(t, client); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		ack := ring(t, client, anna()) // waits for both in vain
		start := time.Now()
		if _, err := client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID}); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v, want 5s at most", took)
		}
	})
}

// TestIssuerWithPath: the well-known path comes after the issuer's own, with one
// slash between (OpenID Connect Discovery section 4.1).
func TestIssuerWithPath(t *testing.T) {
	for _, issuer := range []string{"https://op.test/realms/cars", "https://op.test/realms/cars/", "https://op.test/"} {
		synctest.Test(t, func(t *testing.T) {
			op := quick()
			op.Issuer = issuer
			if err := redeem(t, newClient(t, op)); err != nil {
				t.Errorf("%s: %v", issuer, err)
			}
		})
	}
}

func TestMetadataMembers(t *testing.T) {
	op := &cibatest.Provider{EditMetadata: func(m map[string]any) {
		m["revocation_endpoint"] = "https://op.test/revoke"
		m["backchannel_token_delivery_modes_supported"] = []string{"poll", "ping"}
		m["backchannel_authentication_request_signing_alg_values_supported"] = []string{"PS256"}
		m["backchannel_user_code_parameter_supported"] = true
		m["mtls_endpoint_aliases"] = map[string]any{"token_endpoint": "https://mtls.op.test/token"}
		m["dpop_signing_alg_values_supported"] = []string{"ES256"}
		m["authorization_details_types_supported"] = []string{"vehicle"}
		m["tls_client_certificate_bound_access_tokens"] = true
		m["unknown"] = []any{map[string]any{"x": nil}}
	}}
	m, err := newClient(t, op).Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m.RevocationEndpoint == "" || len(m.BackchannelTokenDeliveryModes) != 2 || len(m.BackchannelRequestSigningAlgs) != 1 ||
		!m.BackchannelUserCode || m.MTLSEndpointAliases.TokenEndpoint != "https://mtls.op.test/token" ||
		len(m.DPoPSigningAlgs) != 1 || len(m.AuthorizationDetailsTypes) != 1 || !m.CertificateBoundAccessToken {
		t.Errorf("metadata is incomplete: %+v", m)
	}
}

// TestMTLSAliases: a client that authenticates with a certificate talks to the
// aliases, where there are any.
func TestMTLSAliases(t *testing.T) {
	op := quick()
	op.Backchannel = func(int) cibatest.Fault {
		return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			if r.FormValue("client_id") != cibatest.ClientID {
				t.Error("the client did not name itself")
			}
			cibatest.JSON(200, `{"auth_req_id":"x","expires_in":60}`)(w, r, nil)
		}
	}
	op.EditMetadata = func(m map[string]any) {
		m["mtls_endpoint_aliases"] = map[string]any{"backchannel_authentication_endpoint": m["backchannel_authentication_endpoint"]}
		m["backchannel_authentication_endpoint"] = "https://op.test/wrong"
	}
	client := newClient(t, op, func(cfg *ciba.Config) { cfg.Auth = certificate{} })
	if _, err := client.RequestAuthentication(t.Context(), anna()); err != nil {
		t.Error(err)
	}
	_, err := newClient(t, op).RequestAuthentication(t.Context(), anna())
	wantClasses(t, err, ciba.ErrProtocol) // with a secret it goes to the plain endpoint, which is wrong here
}
