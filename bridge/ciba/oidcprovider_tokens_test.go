package ciba_test

import (
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// These tests look at what oidc-provider's tokens say.

func TestInteropOIDCProviderTokens(t *testing.T) {
	authority := mtlstest.New(t)
	trials := newTrials(t, authority, ciba.DeliveryPoll, interopClients(t, authority))
	peer := startOIDCProvider(t, authority, registered(trials))
	peer.open(t, trials)
	c := trials[0]
	c.other = trials[3].client // both have ES256
	t.Run("ID token", c.testIDToken)
	t.Run("ID token as a hint", c.testIDTokenHint)
	t.Run("server of an unknown authority", c.testUnknownAuthority)
}

// testIDToken: the claims say what the person did, and the same token is refused
// by whoever expects anything else.
func (c *interopTrial) testIDToken(t *testing.T) {
	const acr = "urn:example:phone:hardware"
	requested := time.Now()
	req := anna()
	req.ACRValues = []string{acr, "urn:example:phone"}
	req.Extra = url.Values{"claims": {`{"id_token":{"amr":null}}`}}
	expect := ciba.Expect{Subject: "anna", ACRValues: req.ACRValues, RequestedAt: requested, RequireAuthTime: true}
	s, err := c.ringFor(t, req, expect)
	if err != nil {
		t.Fatal(err)
	}
	c.peer.people.decide(t, decision{AuthReqID: s.AuthReqID, ACR: acr, AMR: []string{"hwk", "pin"}})
	tokens, err := c.collect(t, s)
	if err != nil {
		t.Fatal(err)
	}
	id := tokens.IDToken
	if id.ACR != acr || !slices.Equal(id.AMR, []string{"hwk", "pin"}) || id.AuthTime.Before(requested.Truncate(time.Second)) {
		t.Errorf("acr %q, amr %q, auth_time %v after the request", id.ACR, id.AMR, id.AuthTime.Sub(requested))
	}
	if id.Issuer != c.peer.issuer || id.KeyID == "" || !id.Expiry.After(id.IssuedAt) {
		t.Errorf("iss %q, kid %q, from %v to %v", id.Issuer, id.KeyID, id.IssuedAt, id.Expiry)
	}
	expect.AccessToken = tokens.AccessToken
	if _, err := c.client.VerifyIDToken(t.Context(), id.Raw, expect); err != nil {
		t.Errorf("verified again: %v", err)
	}
	for _, refusal := range []struct {
		check  ciba.Check
		client *ciba.Client
		raw    string
		expect ciba.Expect
	}{
		{ciba.CheckSubject, c.client, id.Raw, ciba.Expect{Subject: "bela"}},
		{ciba.CheckACR, c.client, id.Raw, ciba.Expect{ACRValues: []string{"urn:example:phone"}}},
		{ciba.CheckIssuedAt, c.client, id.Raw, ciba.Expect{RequestedAt: time.Now().Add(time.Hour)}},
		{ciba.CheckAudience, c.other, id.Raw, ciba.Expect{}},
		{ciba.CheckSignature, c.client, forgeSubject(t, id.Raw), ciba.Expect{}},
	} {
		_, err := refusal.client.VerifyIDToken(t.Context(), refusal.raw, refusal.expect)
		var e *ciba.IDTokenError
		if !errors.As(err, &e) || e.Check != refusal.check {
			t.Errorf("want a failed check of %q, got %v", refusal.check, err)
		}
	}
	if strings.Contains(string(id.Claims), `"at_hash"`) {
		_, err := c.client.VerifyIDToken(t.Context(), id.Raw, ciba.Expect{AccessToken: "another"})
		wantClasses(t, err, ciba.ErrIDToken, ciba.ErrProtocol)
	} else {
		t.Log("this provider's ID tokens have no at_hash")
	}
}

// forgeSubject puts bela in anna's ID token.
func forgeSubject(t *testing.T, raw string) string {
	t.Helper()
	parts := strings.Split(raw, ".")
	claims := must(base64.RawURLEncoding.DecodeString(parts[1]))
	forged := strings.Replace(string(claims), `"anna"`, `"bela"`, 1)
	if forged == string(claims) {
		t.Fatalf("no subject in %s", claims)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(forged))
	return strings.Join(parts, ".")
}

// testIDTokenHint: an ID token names its person for the next sign-in.
func (c *interopTrial) testIDTokenHint(t *testing.T) {
	first, err := c.signIn(t)
	if err != nil {
		t.Fatal(err)
	}
	req := anna()
	req.LoginHint, req.IDTokenHint = "", first.IDToken.Raw
	s, err := c.ringFor(t, req, ciba.Expect{Subject: "anna"})
	if err != nil {
		t.Fatal(err)
	}
	c.decide(t, s, false)
	if _, err := c.collect(t, s); err != nil {
		t.Error(err)
	}
}

// testUnknownAuthority: TLS is real, so a client that does not know the
// authority gets nowhere, and nothing rings.
func (c *interopTrial) testUnknownAuthority(t *testing.T) {
	client, err := ciba.New(ciba.Config{Issuer: c.peer.issuer, ClientID: c.as.id, Auth: c.as.right.Auth})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.RequestAuthentication(t.Context(), anna())
	wantClasses(t, err, ciba.ErrUnavailable)
}

// TestInteropOIDCProviderWait waits as long as the rules want: this provider
// names no interval, so five seconds.
func TestInteropOIDCProviderWait(t *testing.T) {
	authority := mtlstest.New(t)
	clients := interopClients(t, authority)[:1]
	peer := startOIDCProvider(t, authority, clients)
	client := peer.client(t, clients[0], clients[0].right)
	t.Run("group", func(t *testing.T) {
		t.Run("approved", func(t *testing.T) {
			t.Parallel()
			ack, start := ring(t, client, anna()), time.Now()
			peer.people.decide(t, decision{AuthReqID: ack.AuthReqID})
			if _, err := client.Wait(t.Context(), ack, ciba.Expect{Subject: "anna"}); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took < ciba.DefaultInterval {
				t.Errorf("asked after %v", took)
			}
		})
		t.Run("nobody decided in time", func(t *testing.T) {
			t.Parallel()
			req := anna()
			req.RequestedExpiry = ciba.DefaultInterval + ciba.LastCall
			ack, start := ring(t, client, req), time.Now()
			_, err := client.Wait(t.Context(), ack, ciba.Expect{})
			wantClasses(t, err, ciba.ErrExpired)
			if took := time.Since(start); took < ciba.DefaultInterval {
				t.Errorf("gave up after %v", took)
			}
		})
	})
}
