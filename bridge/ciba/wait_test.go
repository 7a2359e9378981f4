package ciba_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

func TestWaitEndsWithItsContext(t *testing.T) {
	for name, op := range map[string]*cibatest.Provider{
		"between requests": {},
		"in a long poll":   {LongPoll: 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newClient(t, op)
				ack := ring(t, client, anna())
				ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
				defer cancel()
				start := time.Now()
				_, err := client.Wait(ctx, ack, ciba.Expect{})
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error is %v", err)
				}
				if took := time.Since(start); took != 12*time.Second {
					t.Errorf("took %v, want 12s", took)
				}
			})
		})
	}
}

func TestWaitObservesRequestedExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A provider that says its own expiry, whatever was requested.
		op := &cibatest.Provider{EditAck: edits("expires_in", 120)}
		client := newClient(t, op)
		req := anna()
		req.RequestedExpiry = 30 * time.Second
		ack := ring(t, client, req)
		start := time.Now()
		_, err := client.Wait(t.Context(), ack, ciba.Expect{})
		wantClasses(t, err, ciba.ErrExpired)
		if took := time.Since(start); took != 28*time.Second {
			t.Errorf("gave up after %v, want 28s", took)
		}
	})
}

// TestSlowDownIsObeyed: a provider that slows the client down once, and means
// it, is never asked early again.
func TestSlowDownIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{
			SlowDown:    true,
			Token:       cibatest.Sequence(cibatest.SlowDown(0, 0)),
			AutoApprove: 100 * time.Second,
		}
		client := newClient(t, op)
		if _, err := client.Wait(t.Context(), ring(t, client, anna()), ciba.Expect{}); err != nil {
			t.Error(err)
		}
		if s := op.Stats(); s.Early != 0 || s.Token != 11 {
			t.Errorf("%d early polls of %d, want none of 11: at 5 s, and every 10 s from 15 s to 105 s, but the last at 118 s or before", s.Early, s.Token)
		}
	})
}

func TestDPoP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var proofs []string
		op := quick()
		op.EditTokens = edits("token_type", "DPoP")
		op.Token = func(n int) cibatest.Fault {
			return func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
				proofs = append(proofs, r.Header.Get("DPoP"))
				w.Header().Set("DPoP-Nonce", []string{"n0nce", "n0nce", `n"nce`, strings.Repeat("n", 257)}[n])
				if n == 0 {
					cibatest.OAuthError(400, "use_dpop_nonce")(w, r, truth)
					return
				}
				truth(w, r)
			}
		}
		client := newClient(t, op)
		ack := ring(t, client, anna())
		time.Sleep(ack.Interval)
		_, err := client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID, DPoPProof: "proof1"})
		wantClasses(t, err, ciba.ErrUseDPoPNonce)
		var e *ciba.Error
		if !errors.As(err, &e) || e.DPoPNonce != "n0nce" {
			t.Errorf("error %v has no nonce", err)
		}
		time.Sleep(ack.Interval)
		tokens, err := client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID, DPoPProof: "proof2"})
		if err != nil {
			t.Fatal(err)
		}
		if tokens.TokenType != "DPoP" || tokens.DPoPNonce != "n0nce" || proofs[0] != "proof1" || proofs[1] != "proof2" {
			t.Errorf("token type %q, nonce %q, proofs %q", tokens.TokenType, tokens.DPoPNonce, proofs)
		}
		for range 2 { // what is no nonce is not passed on
			time.Sleep(ack.Interval)
			_, err := client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID, DPoPProof: "proof3"})
			if !errors.As(err, &e) || e.DPoPNonce != "" {
				t.Errorf("error %v has nonce %q", err, e.DPoPNonce)
			}
		}
	})
}

// TestDPoPDowngrade: a proof was sent, but the token is not bound to its key.
func TestDPoPDowngrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, quick())
		ack := ring(t, client, anna())
		time.Sleep(ack.Interval)
		_, err := client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID, DPoPProof: "proof"})
		wantClasses(t, err, ciba.ErrProtocol)
	})
}

// TestPinnedAlgorithm: the conformance suite's invalid-alternate-alg-test. The
// client was registered for PS256, and a good RS256 signature is refused.
func TestPinnedAlgorithm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := quick()
		op.Algorithm = "RS256"
		client := newClient(t, op, func(cfg *ciba.Config) { cfg.IDTokenAlgs = []string{"PS256"} })
		err := redeem(t, client)
		var e *ciba.IDTokenError
		if !errors.As(err, &e) || e.Check != ciba.CheckAlg {
			t.Errorf("error is %v, want one about alg", err)
		}
	})
}

// TestPushExpectation: what push delivery demands and poll does not.
func TestPushExpectation(t *testing.T) {
	for _, missing := range []ciba.Check{ciba.CheckAtHash, ciba.CheckAuthReqID, ciba.CheckRtHash, ""} {
		t.Run("without "+string(missing), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := quick()
				op.RefreshTokens = true
				op.EditIDToken = func(d *cibatest.Draft) {
					d.Claims[string(ciba.CheckAuthReqID)] = d.Request.AuthReqID
					d.Claims[string(ciba.CheckRtHash)] = d.Hash(d.RefreshToken)
					delete(d.Claims, string(missing))
				}
				client := newClient(t, op)
				ack := ring(t, client, anna())
				time.Sleep(ack.Interval)
				_, err := client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID, Expect: ciba.Expect{Push: true}})
				var e *ciba.IDTokenError
				switch {
				case missing == "" && err != nil:
					t.Error(err)
				case missing != "" && (!errors.As(err, &e) || e.Check != missing):
					t.Errorf("error is %v, want one about %s", err, missing)
				}
			})
		})
	}
}

// TestTokenTimeout: whatever hangs, and wherever, RequestToken keeps its word,
// and an answer that did not come counts as lost only if something was asked.
func TestTokenTimeout(t *testing.T) {
	for _, tc := range []struct {
		name    string
		hang    func(*cibatest.Provider, cibatest.Script)
		took    time.Duration
		classes []error
	}{
		{"discovery", func(op *cibatest.Provider, s cibatest.Script) { op.Discovery = s }, 5 * time.Second, down},
		{"keys", func(op *cibatest.Provider, s cibatest.Script) { op.Keys = s }, 5 * time.Second, down},
		{"token", func(op *cibatest.Provider, s cibatest.Script) { op.Token = s }, 35 * time.Second, lost},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := quick()
				tc.hang(op, cibatest.Always(cibatest.Hang()))
				start := time.Now()
				_, err := newClient(t, op).RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: "x"})
				wantClasses(t, err, tc.classes...)
				if took := time.Since(start); took != tc.took || took > ciba.TokenTimeout {
					t.Errorf("took %v, want %v and at most %v", took, tc.took, ciba.TokenTimeout)
				}
			})
		})
	}
}

// TestLateKeys: the worst case is three slow answers in a row.
func TestLateKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := quick()
		op.Token = cibatest.Always(cibatest.Delay(34 * time.Second))
		op.Keys = func(n int) cibatest.Fault {
			if n == 0 {
				return cibatest.Delay(4 * time.Second)
			}
			return cibatest.Hang()
		}
		op.EditIDToken = func(d *cibatest.Draft) { d.KeyID = "stray" }
		client := newClient(t, op)
		ack := ring(t, client, anna())
		start := time.Now()
		_, err := client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
		wantClasses(t, err, ciba.ErrIDToken, ciba.ErrProtocol)
		if took := time.Since(start); took != 39*time.Second || took > ciba.TokenTimeout {
			t.Errorf("took %v, want 39s and at most %v", took, ciba.TokenTimeout)
		}
	})
}
