package provider_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/carillon-iot/carillon/device-sim/phone"
	"github.com/carillon-iot/carillon/device-sim/provider"
)

// against is the provider of cfg, its client of bridge/ciba, and Anna's phone.
func against(t *testing.T, cfg provider.Config, auth ciba.Authenticator, decide phone.DecideFunc) (*rig, *ciba.Client) {
	t.Helper()
	r := newRig(t, cfg)
	client, err := ciba.New(ciba.Config{
		Issuer: issuer, ClientID: cfg.Clients[0].ID, Auth: auth, HTTPClient: r.http, IDTokenAlgs: []string{"ES256"},
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := phone.New(phone.Config{Provider: r.op, Subject: anna, Decide: decide})
	if err != nil {
		t.Fatal(err)
	}
	ctx, off := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		off()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("phone: %v", err)
		}
	})
	return r, client
}

// askFor sends the request that the tests of this file send.
func askFor(t *testing.T, client *ciba.Client) (ciba.Acknowledgement, ciba.Expect) {
	t.Helper()
	ack, err := client.RequestAuthentication(t.Context(), ciba.AuthenticationRequest{
		Scope: []string{"openid", "profile", "seat", "offline_access"}, LoginHint: "anna@example.com",
		BindingMessage: profile.Binding{}.New(), RequestedExpiry: time.Minute, ACRValues: []string{provider.DefaultACR},
	})
	if err != nil {
		t.Fatal(err)
	}
	return ack, ciba.Expect{
		Subject: anna, ACRValues: []string{provider.DefaultACR}, RequestedAt: time.Now(), RequireAuthTime: true, AuthReqID: ack.AuthReqID,
	}
}

func TestBridgeSignsIn(t *testing.T) {
	key := newKey(t)
	signed, err := ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: key, KeyID: "k1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method provider.AuthMethod
		auth   ciba.Authenticator
	}{
		{provider.SecretBasic, ciba.ClientSecretBasic(secret)},
		{provider.SecretPost, ciba.ClientSecretPost(secret)},
		{provider.PrivateKeyJWT, signed},
	} {
		t.Run(string(c.method), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := config(t)
				cfg.Clients[0].AuthMethod = c.method
				cfg.Clients[0].Keys = []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k1", Algorithm: "ES256"}}
				cfg.Observe = func(e provider.Event) {
					if e.Kind == provider.SlowDown {
						t.Error("the bridge was told to slow down")
					}
				}
				_, client := against(t, cfg, c.auth, phone.After(12*time.Second, phone.Approve))
				ack, expect := askFor(t, client)
				tokens, err := client.Wait(t.Context(), ack, expect)
				if err != nil {
					t.Fatal(err)
				}
				if tokens.AccessToken == "" || tokens.RefreshToken == "" || tokens.ExpiresIn != 15*time.Minute ||
					!slices.Equal(tokens.Scope, []string{"openid", "profile", "seat", "offline_access"}) {
					t.Errorf("tokens: %v scope %q", tokens, tokens.Scope)
				}
			})
		})
	}
}

func TestBridgeHearsTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		decide phone.DecideFunc
		want   error
	}{
		"denied":  {phone.After(7*time.Second, phone.Deny), ciba.ErrDenied},
		"expired": {phone.Ignore, ciba.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, client := against(t, config(t), ciba.ClientSecretBasic(secret), c.decide)
				ack, expect := askFor(t, client)
				if _, err := client.Wait(t.Context(), ack, expect); !errors.Is(err, c.want) {
					t.Errorf("Wait: %v, want %v", err, c.want)
				}
			})
		})
	}
}

// A bridge that polls too fast is slowed down and still arrives.
func TestBridgeSlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := against(t, config(t), ciba.ClientSecretBasic(secret), phone.After(30*time.Second, phone.Approve))
		ack, expect := askFor(t, client)
		ack.Interval = time.Second // it misreads the acknowledgement
		start := time.Now()
		if _, err := client.Wait(t.Context(), ack, expect); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 50*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestBridgeGetsRefusals(t *testing.T) {
	_, client := against(t, config(t), ciba.ClientSecretBasic(secret), phone.Ignore)
	for code, req := range map[ciba.Code]ciba.AuthenticationRequest{
		ciba.CodeUnknownUserID:         {Scope: []string{"openid"}, LoginHint: "dora@example.com"},
		ciba.CodeInvalidBindingMessage: {Scope: []string{"openid"}, LoginHint: anna, BindingMessage: "ä"},
		ciba.CodeInvalidScope:          {Scope: []string{"openid", "brakes"}, LoginHint: anna},
	} {
		var refused *ciba.Error
		if _, err := client.RequestAuthentication(t.Context(), req); !errors.As(err, &refused) || refused.Code != code {
			t.Errorf("got %v, want %s", err, code)
		}
	}
}

// A pushed ID token passes the checks that push demands.
func TestBridgeAcceptsPush(t *testing.T) {
	cb := &callback{}
	r := notified(t, provider.Push, cb)
	client, err := ciba.New(ciba.Config{Issuer: issuer, ClientID: "bridge-1", Auth: ciba.ClientSecretBasic(secret), HTTPClient: r.http})
	if err != nil {
		t.Fatal(err)
	}
	id, req, _ := r.ringNotified(t)
	if err := r.op.Approve(t.Context(), req.ID, provider.Approval{}); err != nil {
		t.Fatal(err)
	}
	text := func(name string) string { s, _ := cb.got[0][name].(string); return s }
	if _, err := client.VerifyIDToken(t.Context(), text("id_token"), ciba.Expect{
		Subject: anna, AuthReqID: id, AccessToken: text("access_token"), RefreshToken: text("refresh_token"), Push: true,
	}); err != nil {
		t.Error(err)
	}
}
