package ciba_test

import (
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
)

// refreshRows are about what comes after a sign-in, in every mode.
func refreshRows() []interopRow {
	return []interopRow{
		{name: "refreshed", try: (*interopTrial).refreshed},
		{name: "refreshed with a spent token", try: (*interopTrial).refreshedTwice, want: []error{ciba.ErrInvalidGrant}},
		{name: "refreshed by another client", try: (*interopTrial).refreshedByAnother, want: []error{ciba.ErrInvalidGrant}},
		{name: "refreshed after it was revoked", try: (*interopTrial).revoked, want: []error{ciba.ErrInvalidGrant}},
	}
}

// offline signs in for longer than the person is there.
func (c *interopTrial) offline(t *testing.T) *ciba.Tokens {
	t.Helper()
	tokens, err := c.signIn(t, func(r *ciba.AuthenticationRequest) { r.Scope = []string{"openid", "offline_access", "seat"} })
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func (c *interopTrial) refresh(t *testing.T, token string) (*ciba.Tokens, error) {
	t.Helper()
	return c.client.Refresh(t.Context(), ciba.RefreshRequest{RefreshToken: token, Expect: ciba.Expect{Subject: "anna"}})
}

func (c *interopTrial) isActive(t *testing.T, accessToken string) bool {
	t.Helper()
	return c.peer.introspect(t, accessToken)["active"] == true
}

// refreshed: the tokens are new, and bound as the old ones were.
func (c *interopTrial) refreshed(t *testing.T) error {
	old := c.offline(t)
	tokens, err := c.refresh(t, old.RefreshToken)
	if err != nil {
		return err
	}
	if tokens.AccessToken == old.AccessToken || tokens.RefreshToken == old.RefreshToken {
		t.Error("a token is an old one")
	}
	if tokens.IDToken == nil || !tokens.IDToken.AuthTime.Equal(old.IDToken.AuthTime) {
		t.Error("ID token is missing, or of another time")
	}
	c.checkBound(t, c.peer.introspect(t, tokens.AccessToken))
	return nil
}

// refreshedTwice: who uses a spent refresh token ends the whole sign-in.
func (c *interopTrial) refreshedTwice(t *testing.T) error {
	old := c.offline(t)
	tokens, err := c.refresh(t, old.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.refresh(t, old.RefreshToken)
	if c.isActive(t, tokens.AccessToken) {
		t.Error("access token is good after a refresh token was used twice")
	}
	return err
}

// refreshedByAnother gets nothing.
func (c *interopTrial) refreshedByAnother(t *testing.T) error {
	tokens := c.offline(t)
	_, err := c.other.Refresh(t.Context(), ciba.RefreshRequest{RefreshToken: tokens.RefreshToken})
	return err
}

// revoked: signing out is revoking the refresh token, which takes the access
// token with it.
func (c *interopTrial) revoked(t *testing.T) error {
	tokens := c.offline(t)
	if !c.isActive(t, tokens.AccessToken) {
		t.Error("new access token is not good")
	}
	if err := c.client.Revoke(t.Context(), tokens.RefreshToken, ciba.HintRefreshToken); err != nil {
		t.Fatal(err)
	}
	if c.isActive(t, tokens.AccessToken) {
		t.Error("access token is good after the refresh token was revoked")
	}
	_, err := c.refresh(t, tokens.RefreshToken)
	return err
}
