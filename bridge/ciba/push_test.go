package ciba_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

const (
	claimAuthReqID = "urn:openid:params:jwt:claim:auth_req_id"
	claimRtHash    = "urn:openid:params:jwt:claim:rt_hash"
)

// wantPushed returns the only thing that was pushed.
func (d *desk) wantPushed(t *testing.T) (*ciba.Tokens, error) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.errs) != 1 {
		t.Fatalf("told %d times, want once", len(d.errs))
	}
	if (d.pushed[0] == nil) == (d.errs[0] == nil) {
		t.Errorf("tokens and error at a time, or neither: %v", d.errs[0])
	}
	return d.pushed[0], d.errs[0]
}

func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{Delivery: "push", RefreshTokens: true, AutoApprove: 7 * time.Second}
		d := newDesk(t, op)
		ack := d.ring(t, "s1")
		time.Sleep(8 * time.Second)
		tokens, err := d.wantPushed(t)
		if err != nil || tokens.AccessToken == "" || tokens.RefreshToken == "" || tokens.IDToken.Subject != "anna@example.com" {
			t.Fatalf("tokens are incomplete: %v", err)
		}
		wantReplies(t, op, 204)
		_, err = d.client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
		wantField(t, err, "Delivery")
		_, err = d.client.Wait(t.Context(), ack, ciba.Expect{})
		wantField(t, err, "Delivery")
		if op.Stats().Token != 0 {
			t.Error("the token endpoint was asked")
		}
	})
}

// TestPushFailures: the three that there are, and what is none.
func TestPushFailures(t *testing.T) {
	for code, class := range map[string]error{
		"access_denied": ciba.ErrDenied, "expired_token": ciba.ErrExpired, "transaction_failed": ciba.ErrTransactionFailed,
		"authorization_pending": ciba.ErrProtocol, "slow_down": ciba.ErrProtocol, "other": ciba.ErrProtocol, "": ciba.ErrProtocol, "a\nb": ciba.ErrProtocol,
	} {
		t.Run(code, func(t *testing.T) {
			op := &cibatest.Provider{Delivery: "push"}
			op.EditNotification = func(n cibatest.Notification) []cibatest.Notification {
				return []cibatest.Notification{n.With("error", code).With("error_description", "no\n"+strings.Repeat("x", 300))}
			}
			d := newDesk(t, op)
			ack := d.ring(t, "s1")
			op.Deny(ack.AuthReqID)
			_, err := d.wantPushed(t)
			wantClasses(t, err, class)
			holdError(t, err)
			wantReplies(t, op, 204)
			if _, outcome := ciba.NewPoll(ack, epoch).After(epoch, epoch, err); !outcome.Final() {
				t.Errorf("outcome is %q", outcome)
			}
			var e *ciba.Error
			if class != ciba.ErrProtocol && (!errors.As(err, &e) || e.Endpoint != "notification" || strings.Contains(err.Error(), "answered")) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// TestPushToAnother: the tokens of one sign-in, brought as those of another, are
// refused for the auth_req_id in them.
func TestPushToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{Delivery: "push", RefreshTokens: true}
		d := newDesk(t, op)
		ack, other := d.ring(t, "s1"), d.ring(t, "s2")
		op.EditNotification = func(n cibatest.Notification) []cibatest.Notification {
			return []cibatest.Notification{n.With("auth_req_id", other.AuthReqID).WithHeader("Authorization", "Bearer "+must(d.tokens.Mint("s2")))}
		}
		op.Approve(ack.AuthReqID)
		wantReplies(t, op, 204)
		_, err := d.wantPushed(t)
		wantCheck(t, err, ciba.CheckAuthReqID)
	})
}

// TestPushAgain: a push that cannot be taken now is asked for again, and one
// that comes twice is taken twice.
func TestPushAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{Delivery: "push"}
		d := newDesk(t, op)
		var kept cibatest.Notification
		op.EditNotification = func(n cibatest.Notification) []cibatest.Notification {
			kept = n
			return nil
		}
		ack := d.ring(t, "s1")
		row := d.signIns["s1"]
		op.Approve(ack.AuthReqID)
		d.signIns["s1"] = ciba.SignIn{} // the acknowledgement is not stored yet
		op.Send(kept)
		d.signIns["s1"] = row
		d.down = errors.New("no database")
		op.Send(kept)
		d.down = nil
		op.Send(kept)
		op.Send(kept)
		wantReplies(t, op, 503, 503, 204, 204)
		if len(d.pushed) != 2 || d.errs[0] != nil || d.errs[1] != nil {
			t.Errorf("told %v", d.errs)
		}
	})
}

// TestPushWhileKeysAreAway: tokens that cannot be verified now are not lost.
func TestPushWhileKeysAreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{Delivery: "push"}
		var away bool
		op.Keys = func(int) cibatest.Fault {
			if away {
				return cibatest.Busy(503, 0)
			}
			return nil
		}
		d := newDesk(t, op)
		ack := d.ring(t, "s1")
		var kept cibatest.Notification
		op.EditNotification = func(n cibatest.Notification) []cibatest.Notification { kept = n; return nil }
		op.Approve(ack.AuthReqID)
		// Another replica, which has no keys yet, gets the push.
		away = true
		other := newClient(t, op, func(cfg *ciba.Config) { cfg.Delivery = ciba.DeliveryPush })
		op.Endpoint = must(ciba.NewNotificationHandler(ciba.NotificationConfig{
			Client: other, Tokens: d.tokens, SignIn: d.signIn, Pushed: d.push, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		}))
		op.Send(kept)
		away = false
		time.Sleep(15 * time.Second)
		op.Send(kept)
		wantReplies(t, op, 503, 204)
		if _, err := d.wantPushed(t); err != nil {
			t.Error(err)
		}
	})
}

// TestPushTolerance: a missing at_hash may be put up with by name; nothing else.
func TestPushTolerance(t *testing.T) {
	for name, tc := range map[string]struct {
		edit  func(*cibatest.Draft)
		check ciba.Check
	}{
		"missing":         {func(d *cibatest.Draft) { delete(d.Claims, "at_hash") }, ""},
		"wrong":           {func(d *cibatest.Draft) { d.Claims["at_hash"] = d.Hash("other") }, ciba.CheckAtHash},
		"rt_hash missing": {func(d *cibatest.Draft) { delete(d.Claims, claimRtHash) }, ciba.CheckRtHash},
		"id missing":      {func(d *cibatest.Draft) { delete(d.Claims, claimAuthReqID) }, ciba.CheckAuthReqID},
	} {
		t.Run(name, func(t *testing.T) {
			op := &cibatest.Provider{Delivery: "push", RefreshTokens: true, EditIDToken: tc.edit}
			d := newDesk(t, op, func(cfg *ciba.NotificationConfig) {
				cfg.Client = newClient(t, op, func(cfg *ciba.Config) {
					cfg.Delivery, cfg.Tolerate = ciba.DeliveryPush, []ciba.Tolerance{ciba.ToleratePushWithoutAtHash}
				})
			})
			op.Approve(d.ring(t, "s1").AuthReqID)
			_, err := d.wantPushed(t)
			if tc.check == "" && err != nil {
				t.Error(err)
			}
			if tc.check != "" {
				wantCheck(t, err, tc.check)
			}
		})
	}
}

func TestFAPI(t *testing.T) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	good := func() ciba.Config {
		return ciba.Config{
			Issuer: "https://op.test", ClientID: "c", Profile: row(t, "fapi-ciba"),
			Auth: must(ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: key, KeyID: "k"})),
		}
	}
	for field, edit := range map[string]func(*ciba.Config){
		"Delivery":    func(c *ciba.Config) { c.Delivery = ciba.DeliveryPush },
		"Auth":        func(c *ciba.Config) { c.Auth = ciba.ClientSecretBasic("s") },
		"IDTokenAlgs": func(c *ciba.Config) { c.IDTokenAlgs = []string{"PS256", "RS256"} },
		"Tolerate":    func(c *ciba.Config) { c.Tolerate = []ciba.Tolerance{ciba.ToleratePushWithoutAtHash} },
	} {
		cfg := good()
		edit(&cfg)
		_, err := ciba.New(cfg)
		wantField(t, err, field)
	}
	if _, err := ciba.New(good()); err != nil {
		t.Error(err)
	}
	_, err := ciba.New(ciba.Config{Issuer: "https://op.test", ClientID: "c", Auth: ciba.ClientSecretPost("s"), Tolerate: []ciba.Tolerance{"everything"}})
	wantField(t, err, "Tolerate")
	_, err = ciba.New(ciba.Config{Issuer: "https://op.test", ClientID: "c", Auth: ciba.ClientSecretPost("s"), Delivery: "pull"})
	wantField(t, err, "Delivery")
}

// TestFAPIRequests: a request needs something to be recognised by, and ID tokens
// one of two algorithms.
func TestFAPIRequests(t *testing.T) {
	for alg, ok := range map[string]bool{"ES256": true, "PS256": true, "RS256": false, "EdDSA": false, "ES384": false} {
		t.Run(alg, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
				op, how := signing(key, "ES256")
				op.Algorithm = alg
				client := newClient(t, op, func(cfg *ciba.Config) {
					cfg.Profile, cfg.RequestSigning, cfg.Auth = row(t, "fapi-ciba"), how, must(ciba.PrivateKeyJWT(how.Key))
				})
				req := anna()
				req.BindingMessage = ""
				_, err := client.RequestAuthentication(context.Background(), req)
				wantField(t, err, "BindingMessage")
				err = redeem(t, client)
				if ok && err != nil {
					t.Error(err)
				}
				if !ok {
					wantCheck(t, err, ciba.CheckAlg)
				}
			})
		})
	}
}
