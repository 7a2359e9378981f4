package ciba_test

import (
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
)

// offline signs in for longer than the person is there.
func (c oidcTrial) offline(t *testing.T) *ciba.Tokens {
	t.Helper()
	req := c.anna()
	req.Scope = []string{"openid", "offline_access", "seat"}
	return c.signIn(t, req, decision{}, ciba.Expect{Subject: "anna"})
}

func (c oidcTrial) refresh(t *testing.T, token string) (*ciba.Tokens, error) {
	t.Helper()
	return c.client.Refresh(t.Context(), ciba.RefreshRequest{RefreshToken: token, Expect: ciba.Expect{Subject: "anna"}})
}

func (c oidcTrial) isActive(t *testing.T, accessToken string) bool {
	t.Helper()
	return c.op.introspect(t, c.inquire, accessToken)["active"] == true
}

// refreshed: the tokens are new, and bound as the old ones were.
func (c oidcTrial) refreshed(t *testing.T) error {
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
	c.checkBound(t, c.op.introspect(t, c.inquire, tokens.AccessToken))
	return nil
}

// refreshedTwice: who uses a spent refresh token ends the whole sign-in.
func (c oidcTrial) refreshedTwice(t *testing.T) error {
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

// revoked: signing out is revoking the refresh token, which takes the access
// token with it.
func (c oidcTrial) revoked(t *testing.T) error {
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
