package ciba_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

// These are the rows of the tables. In ping mode, where the ping does not matter,
// they let it fail.

// anna is a request that the provider accepts.
func (c oidcTrial) anna() ciba.AuthenticationRequest {
	req := anna()
	if c.desk != nil {
		req.NotificationToken = must(c.desk.tokens.Mint(rand.Text()))
	}
	return req
}

func (c oidcTrial) redeem(t *testing.T, ack ciba.Acknowledgement, subject string) (*ciba.Tokens, error) {
	t.Helper()
	return c.client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID, Expect: ciba.Expect{Subject: subject}})
}

// approved: the phone shows what the device sent, and the answer is complete.
func (c oidcTrial) approved(t *testing.T) error {
	req := c.anna()
	req.Scope = []string{"openid", "offline_access", "seat"}
	req.BindingMessage = profile.Binding{}.New()
	requested := time.Now()
	ack := ring(t, c.client, req)
	if ack.Interval != ciba.DefaultInterval || ack.ExpiresIn <= 0 {
		t.Errorf("acknowledgement expires in %v with interval %v", ack.ExpiresIn, ack.Interval)
	}
	shown := c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
	if shown["binding_message"] != req.BindingMessage || shown["login_hint"] != req.LoginHint {
		t.Errorf("the phone shows %v", shown)
	}
	tokens, err := c.client.RequestToken(t.Context(), ciba.TokenRequest{
		AuthReqID: ack.AuthReqID,
		Expect:    ciba.Expect{Subject: "anna", RequestedAt: requested, RequireAuthTime: true},
	})
	if err != nil {
		return err
	}
	if tokens.TokenType != "Bearer" || tokens.ExpiresIn <= 0 || tokens.RefreshToken == "" {
		t.Errorf("%s token for %v, %d bytes of refresh token", tokens.TokenType, tokens.ExpiresIn, len(tokens.RefreshToken))
	}
	if got := strings.Join(tokens.Scope, " "); got != "openid offline_access seat" {
		t.Errorf("scope %q", got)
	}
	if tokens.IDToken.Algorithm != c.as.idTokenAlg || tokens.IDToken.Audience[0] != c.as.id {
		t.Errorf("ID token is signed with %s for %q", tokens.IDToken.Algorithm, tokens.IDToken.Audience)
	}
	return nil
}

func (c oidcTrial) undecided(t *testing.T) error {
	_, err := c.redeem(t, ring(t, c.client, c.anna()), "anna")
	return err
}

func (c oidcTrial) denied(t *testing.T) error {
	ack := ring(t, c.client, c.anna())
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID, Deny: true})
	_, err := c.redeem(t, ack, "anna")
	return err
}

func (c oidcTrial) deniedThenApproved(t *testing.T) error {
	ack := ring(t, c.client, c.anna())
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID, Deny: true})
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
	_, err := c.redeem(t, ack, "anna")
	return err
}

// expired asks until the provider says anything else than that nobody has
// decided yet.
func (c oidcTrial) expired(t *testing.T) error {
	req := c.anna()
	req.RequestedExpiry = time.Second
	ack := ring(t, c.client, req)
	if ack.ExpiresIn != time.Second {
		t.Errorf("requested a second, got %v", ack.ExpiresIn)
	}
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		if _, err := c.redeem(t, ack, "anna"); !errors.Is(err, ciba.ErrPending) {
			return err
		}
		<-pause.C
	}
}

// redeemedTwice: the second time revokes what the first time gave.
func (c oidcTrial) redeemedTwice(t *testing.T) error {
	ack := ring(t, c.client, c.anna())
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
	tokens, err := c.redeem(t, ack, "anna")
	if err != nil {
		t.Fatal(err)
	}
	got := c.op.introspect(t, c.inquire, tokens.AccessToken)
	if got["active"] != true || got["sub"] != "anna" || got["client_id"] != c.as.id {
		t.Errorf("new access token is %v", got)
	}
	c.checkBound(t, got)
	_, err = c.redeem(t, ack, "anna")
	if got := c.op.introspect(t, c.inquire, tokens.AccessToken); got["active"] != false {
		t.Errorf("access token of a request that was redeemed twice is %v", got)
	}
	return err
}

// checkBound: the access token of a client with a certificate is bound to it
// (RFC 8705 section 3.1).
func (c oidcTrial) checkBound(t *testing.T, introspected map[string]any) {
	t.Helper()
	if c.as.right.Certificate == nil {
		return
	}
	sum := sha256.Sum256(must(c.as.right.Certificate()).Certificate[0])
	bound, _ := introspected["cnf"].(map[string]any)
	if bound["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
		t.Errorf("access token is bound to %v", bound)
	}
}

// redeemedByAnother: and it remains good for its own client.
func (c oidcTrial) redeemedByAnother(t *testing.T) error {
	ack := ring(t, c.client, c.anna())
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
	_, stolen := c.other.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
	if _, err := c.redeem(t, ack, "anna"); err != nil {
		t.Errorf("its own client, afterwards: %v", err)
	}
	return stolen
}

func (c oidcTrial) ring(t *testing.T, edit func(*ciba.AuthenticationRequest)) error {
	t.Helper()
	req := c.anna()
	edit(&req)
	_, err := c.client.RequestAuthentication(t.Context(), req)
	return err
}

func (c oidcTrial) unknownUser(t *testing.T) error {
	return c.ring(t, func(r *ciba.AuthenticationRequest) { r.LoginHint = "nobody@example.com" })
}

func (c oidcTrial) bindingMessage(t *testing.T) error {
	return c.ring(t, func(r *ciba.AuthenticationRequest) { r.BindingMessage = "4K7 P2X" })
}

func (c oidcTrial) unknownResource(t *testing.T) error {
	return c.ring(t, func(r *ciba.AuthenticationRequest) {
		r.Resource = []string{"https://boat.example.com/"}
	})
}

// userCode rings bela, whose phone rings only for who knows the code.
func userCode(code string) func(oidcTrial, *testing.T) error {
	return func(c oidcTrial, t *testing.T) error {
		req := c.anna()
		req.LoginHint, req.UserCode = "bela@example.com", code
		ack, err := c.client.RequestAuthentication(t.Context(), req)
		if err != nil {
			return err
		}
		c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
		_, err = c.redeem(t, ack, "bela")
		return err
	}
}

func (c oidcTrial) wrongRinging(t *testing.T) error {
	_, err := c.op.client(t, c.as, c.as.wrong).RequestAuthentication(t.Context(), c.anna())
	return err
}

// wrongRedeeming: and the request remains good.
func (c oidcTrial) wrongRedeeming(t *testing.T) error {
	ack := ring(t, c.client, c.anna())
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
	_, refused := c.op.client(t, c.as, c.as.wrong).RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
	if _, err := c.redeem(t, ack, "anna"); err != nil {
		t.Errorf("with the right one, afterwards: %v", err)
	}
	return refused
}
