package ciba_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// newClient returns a client of op with the shared secret; edit may change the
// configuration.
func newClient(t testing.TB, op *cibatest.Provider, edit ...func(*ciba.Config)) *ciba.Client {
	t.Helper()
	cfg := ciba.Config{
		Issuer:     op.IssuerURL(),
		ClientID:   cibatest.ClientID,
		Auth:       ciba.ClientSecretBasic(cibatest.ClientSecret),
		HTTPClient: op.Client(),
	}
	for _, f := range edit {
		f(&cfg)
	}
	client, err := ciba.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// anna is a request that every well-behaved provider accepts.
func anna() ciba.AuthenticationRequest {
	return ciba.AuthenticationRequest{
		Scope:          []string{"openid"},
		LoginHint:      "anna@example.com",
		BindingMessage: "4K7-P2X",
	}
}

func ring(t testing.TB, client *ciba.Client, req ciba.AuthenticationRequest) ciba.Acknowledgement {
	t.Helper()
	ack, err := client.RequestAuthentication(context.Background(), req)
	if err != nil {
		t.Fatalf("RequestAuthentication: %v", err)
	}
	return ack
}

// allClasses are the sentinels that errors.Is is asked for.
var allClasses = []error{
	ciba.ErrPending, ciba.ErrSlowDown, ciba.ErrDenied, ciba.ErrExpired, ciba.ErrInvalidGrant,
	ciba.ErrUnknownUser, ciba.ErrInvalidBindingMessage, ciba.ErrUserCode, ciba.ErrInvalidClient,
	ciba.ErrInvalidRequest, ciba.ErrUseDPoPNonce, ciba.ErrUnavailable, ciba.ErrInterrupted,
	ciba.ErrProtocol, ciba.ErrIDToken, ciba.ErrWrongPerson, ciba.ErrTransactionFailed,
}

func classes(list ...error) []error { return list }

// What errors of requests to the provider often are.
var (
	down      = classes(ciba.ErrUnavailable)
	lost      = classes(ciba.ErrUnavailable, ciba.ErrInterrupted)
	violation = classes(ciba.ErrProtocol)
)

// wantClasses checks that err belongs to exactly these classes.
func wantClasses(t testing.TB, err error, classes ...error) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %v", classes)
		return
	}
	for _, class := range allClasses {
		want := false
		for _, c := range classes {
			want = want || c == class
		}
		if got := errors.Is(err, class); got != want {
			t.Errorf("error %q: is %q = %v, want %v", err, class, got, want)
		}
	}
}

func TestSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{AutoApprove: 12 * time.Second, RefreshTokens: true}
		client := newClient(t, op)
		start := time.Now()
		ack := ring(t, client, anna())
		if ack.ExpiresIn != 120*time.Second || ack.Interval != 5*time.Second {
			t.Errorf("acknowledgement expires in %v with interval %v, want 2m and 5s", ack.ExpiresIn, ack.Interval)
		}
		tokens, err := client.Wait(t.Context(), ack, ciba.Expect{Subject: "anna@example.com", RequestedAt: start})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("approved after 12s, tokens after %v; want the poll at 15s", took)
		}
		if tokens.AccessToken == "" || tokens.RefreshToken == "" || tokens.TokenType != "Bearer" || tokens.ExpiresIn != 5*time.Minute {
			t.Error("tokens are incomplete")
		}
		if id := tokens.IDToken; id.Subject != "anna@example.com" || id.Issuer != op.IssuerURL() || id.Raw == "" || id.AuthTime.IsZero() {
			t.Error("ID token is incomplete")
		}
		if got, want := op.Stats(), (cibatest.Stats{Discovery: 1, Keys: 1, Backchannel: 1, Token: 3, Rang: 1, Redeemed: 1}); got != want {
			t.Errorf("provider saw %+v, want %+v", got, want)
		}
	})
}

func TestDecisions(t *testing.T) {
	for _, tc := range []struct {
		name   string
		decide func(*cibatest.Provider, string) bool
		class  error
		after  time.Duration
	}{
		{"deny", (*cibatest.Provider).Deny, ciba.ErrDenied, 15 * time.Second},
		{"expire", (*cibatest.Provider).Expire, ciba.ErrExpired, 15 * time.Second},
		{"ignore", func(*cibatest.Provider, string) bool { return true }, ciba.ErrExpired, 118 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := &cibatest.Provider{SlowDown: true}
				client := newClient(t, op)
				ack := ring(t, client, anna())
				start := time.Now()
				time.AfterFunc(11*time.Second, func() { tc.decide(op, ack.AuthReqID) })
				_, err := client.Wait(t.Context(), ack, ciba.Expect{})
				wantClasses(t, err, tc.class)
				if took := time.Since(start); took != tc.after {
					t.Errorf("took %v, want %v", took, tc.after)
				}
				if s := op.Stats(); s.Early+s.Overlapping+s.AfterEnd != 0 {
					t.Errorf("polls broke the rules: %+v", s)
				}
			})
		})
	}
}

// TestAcknowledgementLimits: the first and last values that are allowed, and
// what stands for a missing interval.
func TestAcknowledgementLimits(t *testing.T) {
	for _, tc := range []struct {
		name string
		body string
		want ciba.Acknowledgement
	}{
		{"least", `{"auth_req_id":"!","expires_in":1,"interval":1}`, ciba.Acknowledgement{AuthReqID: "!", ExpiresIn: time.Second, Interval: time.Second}},
		{"most", `{"auth_req_id":"~","expires_in":604800,"interval":3600}`, ciba.Acknowledgement{AuthReqID: "~", ExpiresIn: ciba.MaxLifetime, Interval: ciba.MaxInterval}},
		{"no interval", `{"auth_req_id":"x","expires_in":60}`, ciba.Acknowledgement{AuthReqID: "x", ExpiresIn: time.Minute, Interval: ciba.DefaultInterval}},
		{"interval null", `{"auth_req_id":"x","expires_in":60,"interval":null}`, ciba.Acknowledgement{AuthReqID: "x", ExpiresIn: time.Minute, Interval: ciba.DefaultInterval}},
		{"interval 0", `{"auth_req_id":"x","expires_in":60,"interval":0}`, ciba.Acknowledgement{AuthReqID: "x", ExpiresIn: time.Minute, Interval: ciba.DefaultInterval}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			op := &cibatest.Provider{Backchannel: cibatest.Always(cibatest.JSON(200, tc.body))}
			if got := ring(t, newClient(t, op), anna()); got != tc.want {
				t.Errorf("got %q for %v every %v, want %q for %v every %v", got.AuthReqID, got.ExpiresIn, got.Interval, tc.want.AuthReqID, tc.want.ExpiresIn, tc.want.Interval)
			}
		})
	}
}
