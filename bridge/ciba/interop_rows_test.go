package ciba_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

// decisionRows are about the person, in every mode.
func decisionRows() []interopRow {
	return []interopRow{
		{name: "approved", try: (*interopTrial).approved},
		{name: "denied", try: (*interopTrial).denied, want: []error{ciba.ErrDenied}},
		{name: "approved after it was denied", try: (*interopTrial).deniedThenApproved, want: []error{ciba.ErrDenied}},
		{name: "unknown user", try: (*interopTrial).unknownUser, want: []error{ciba.ErrUnknownUser}},
		{name: "binding message with a blank", try: (*interopTrial).bindingMessage, want: []error{ciba.ErrInvalidBindingMessage}},
		{name: "user code missing", try: userCode(""), want: []error{ciba.ErrUserCode}},
		{name: "user code wrong", try: userCode("1357"), want: []error{ciba.ErrUserCode}},
		{name: "user code right", try: userCode("2468")},
		{name: "wrong proof of the client, ringing", try: (*interopTrial).wrongRinging, want: []error{ciba.ErrInvalidClient}},
	}
}

// askRows are about asking at the token endpoint, in every mode but push.
func askRows() []interopRow {
	rows := []interopRow{
		{name: "not decided yet", try: (*interopTrial).undecided, want: []error{ciba.ErrPending}},
		{name: "asked again at once", try: (*interopTrial).askedAgain, want: []error{ciba.ErrPending}},
		{name: "nobody decided in time", try: (*interopTrial).expired, want: []error{ciba.ErrExpired}},
		{name: "redeemed twice", try: (*interopTrial).redeemedTwice, want: []error{ciba.ErrInvalidGrant}},
		{name: "redeemed by another client", try: (*interopTrial).redeemedByAnother, want: []error{ciba.ErrInvalidGrant}},
		{name: "wrong proof of the client, redeeming", try: (*interopTrial).wrongRedeeming, want: []error{ciba.ErrInvalidClient}},
	}
	for i := range rows {
		rows[i].modes = []ciba.DeliveryMode{ciba.DeliveryPoll, ciba.DeliveryPing}
	}
	return rows
}

// approved: the phone shows what the device sent, and the answer is complete.
func (c *interopTrial) approved(t *testing.T) error {
	const acr = "urn:example:phone"
	req := anna()
	req.Scope = []string{"openid", "offline_access", "seat"}
	req.BindingMessage, req.ACRValues = profile.Binding{}.New(), []string{acr}
	s, err := c.ringFor(t, req, ciba.Expect{Subject: "anna", RequestedAt: time.Now(), RequireAuthTime: true, ACRValues: req.ACRValues})
	if err != nil {
		t.Fatal(err)
	}
	if s.Interval != ciba.DefaultInterval || s.ExpiresIn <= 0 {
		t.Errorf("acknowledgement expires in %v with interval %v", s.ExpiresIn, s.Interval)
	}
	shown := c.peer.people.decide(t, decision{AuthReqID: s.AuthReqID, ACR: acr})
	if shown["binding_message"] != req.BindingMessage || shown["login_hint"] != req.LoginHint {
		t.Errorf("the phone shows %v", shown)
	}
	tokens, err := c.collect(t, s)
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

func (c *interopTrial) denied(t *testing.T) error {
	s := c.mustRing(t)
	c.decide(t, s, true)
	_, err := c.collect(t, s)
	return err
}

func (c *interopTrial) deniedThenApproved(t *testing.T) error {
	s := c.mustRing(t)
	c.decide(t, s, true)
	c.decide(t, s, false)
	_, err := c.collect(t, s)
	return err
}

func (c *interopTrial) unknownUser(t *testing.T) error {
	_, err := c.ring(t, func(r *ciba.AuthenticationRequest) { r.LoginHint = "nobody@example.com" })
	return err
}

func (c *interopTrial) bindingMessage(t *testing.T) error {
	peer := *c.peer
	peer.profile = profile.Profile{} // which would not have it sent
	careless := *c
	careless.client = peer.client(t, c.as, c.as.right)
	_, err := careless.ring(t, func(r *ciba.AuthenticationRequest) { r.BindingMessage = "4K7 P2X" })
	return err
}

// userCode rings bela, whose phone rings only for who knows the code.
func userCode(code string) func(*interopTrial, *testing.T) error {
	return func(c *interopTrial, t *testing.T) error {
		_, err := c.signIn(t, func(r *ciba.AuthenticationRequest) {
			r.LoginHint, r.UserCode = "bela@example.com", code
		})
		return err
	}
}

// wrongRinging does not ring.
func (c *interopTrial) wrongRinging(t *testing.T) error {
	forger := *c
	forger.client = c.peer.client(t, c.as, c.as.wrong)
	_, err := forger.ring(t)
	return err
}

func (c *interopTrial) undecided(t *testing.T) error {
	_, err := c.collect(t, c.mustRing(t))
	return err
}

// askedAgain is not how this client behaves by itself.
func (c *interopTrial) askedAgain(t *testing.T) error {
	s := c.mustRing(t)
	c.collect(t, s)
	_, err := c.collect(t, s)
	return err
}

// expired asks until the provider says anything else than that nobody has
// decided yet.
func (c *interopTrial) expired(t *testing.T) error {
	brief := c.peer.people.brief()
	s := c.mustRing(t, func(r *ciba.AuthenticationRequest) { r.RequestedExpiry = brief })
	if s.ExpiresIn > brief || s.ExpiresIn < brief-time.Second {
		t.Errorf("requested %v, got %v", brief, s.ExpiresIn)
	}
	c.peer.people.lapse(t, s.AuthReqID)
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		if _, err := c.collect(t, s); !errors.Is(err, ciba.ErrPending) {
			return err
		}
		<-pause.C
	}
}

// redeemedTwice: the second time revokes what the first time gave.
func (c *interopTrial) redeemedTwice(t *testing.T) error {
	s := c.mustRing(t)
	c.decide(t, s, false)
	tokens, err := c.collect(t, s)
	if err != nil {
		t.Fatal(err)
	}
	got := c.peer.introspect(t, tokens.AccessToken)
	if got["active"] != true || got["sub"] != "anna" || got["client_id"] != c.as.id {
		t.Errorf("new access token is %v", got)
	}
	_, err = c.collect(t, s)
	if c.isActive(t, tokens.AccessToken) {
		t.Error("access token of a request that was redeemed twice is good")
	}
	return err
}

// redeemedByAnother: and it remains good for its own client.
func (c *interopTrial) redeemedByAnother(t *testing.T) error {
	s := c.mustRing(t)
	c.decide(t, s, false)
	_, stolen := c.other.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: s.AuthReqID})
	if _, err := c.collect(t, s); err != nil {
		t.Errorf("its own client, afterwards: %v", err)
	}
	return stolen
}

// wrongRedeeming: and the request remains good.
func (c *interopTrial) wrongRedeeming(t *testing.T) error {
	s := c.mustRing(t)
	c.decide(t, s, false)
	_, refused := c.peer.client(t, c.as, c.as.wrong).RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: s.AuthReqID})
	if _, err := c.collect(t, s); err != nil {
		t.Errorf("with the right one, afterwards: %v", err)
	}
	return refused
}
