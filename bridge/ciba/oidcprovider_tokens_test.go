package ciba_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/go-jose/go-jose/v4"
)

// These tests look at what oidc-provider's tokens say.

func TestInteropOIDCProviderTokens(t *testing.T) {
	clients := oidcClients()
	op := startOIDCProvider(t, clients)
	as, other := clients[0], clients[3] // both have ES256
	c := oidcTrial{op: op, as: as, client: op.client(t, as, as.auth), other: op.client(t, other, other.auth)}
	t.Run("ID token", c.testIDToken)
	t.Run("ID token as a hint", c.testIDTokenHint)
	t.Run("access token for a resource", c.testResource)
	t.Run("bound to a key", c.testDPoP)
	t.Run("server of an unknown authority", c.testUnknownAuthority)
}

// signIn rings, approves and redeems.
func (c oidcTrial) signIn(t *testing.T, req ciba.AuthenticationRequest, d decision, expect ciba.Expect) *ciba.Tokens {
	t.Helper()
	ack := ring(t, c.client, req)
	d.AuthReqID = ack.AuthReqID
	c.op.decide(t, d)
	tokens, err := c.client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID, Expect: expect})
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// testIDToken: the claims say what the person did, and the same token is refused
// by whoever expects anything else.
func (c oidcTrial) testIDToken(t *testing.T) {
	const acr = "urn:example:phone:hardware"
	requested := time.Now()
	req := anna()
	req.ACRValues = []string{acr, "urn:example:phone"}
	req.Extra = url.Values{"claims": {`{"id_token":{"amr":null}}`}}
	expect := ciba.Expect{Subject: "anna", ACRValues: req.ACRValues, RequestedAt: requested, RequireAuthTime: true}
	tokens := c.signIn(t, req, decision{ACR: acr, AMR: []string{"hwk", "pin"}}, expect)
	id := tokens.IDToken
	if id.ACR != acr || !slices.Equal(id.AMR, []string{"hwk", "pin"}) || id.AuthTime.Before(requested.Truncate(time.Second)) {
		t.Errorf("acr %q, amr %q, auth_time %v after the request", id.ACR, id.AMR, id.AuthTime.Sub(requested))
	}
	if id.Issuer != c.op.issuer || id.KeyID == "" || !id.Expiry.After(id.IssuedAt) {
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
func (c oidcTrial) testIDTokenHint(t *testing.T) {
	first := c.signIn(t, anna(), decision{}, ciba.Expect{Subject: "anna"})
	req := anna()
	req.LoginHint, req.IDTokenHint = "", first.IDToken.Raw
	c.signIn(t, req, decision{}, ciba.Expect{Subject: "anna"})
}

// testResource: the access token is a JWT (RFC 9068) for the resource (RFC 8707)
// and nobody else.
func (c oidcTrial) testResource(t *testing.T) {
	const car = "https://car.example.com/"
	req := anna()
	req.Scope = []string{"openid", "seat"}
	req.Extra = url.Values{"resource": {car}}
	tokens := c.signIn(t, req, decision{}, ciba.Expect{Subject: "anna"})
	if !slices.Equal(tokens.Scope, []string{"seat"}) {
		t.Errorf("scope %q, but openid is no scope of the resource", tokens.Scope)
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ClientID string `json:"client_id"`
		Scope    string `json:"scope"`
	}
	if err := json.Unmarshal(c.verifyAccessToken(t, tokens.AccessToken), &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Issuer != c.op.issuer || claims.Subject != "anna" || claims.Audience != car || claims.ClientID != c.as.id || claims.Scope != "seat" {
		t.Errorf("access token says %+v", claims)
	}
}

// verifyAccessToken returns the claims of a JWT access token.
func (c oidcTrial) verifyAccessToken(t *testing.T, token string) []byte {
	t.Helper()
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatalf("access token: %v", err)
	}
	if typ := jws.Signatures[0].Protected.ExtraHeaders["typ"]; typ != "at+jwt" {
		t.Errorf("access token is of type %v", typ)
	}
	metadata, err := c.client.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.op.http.Get(metadata.JWKSURI)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&keys); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys.Key(jws.Signatures[0].Protected.KeyID) {
		if payload, err := jws.Verify(key); err == nil {
			return payload
		}
	}
	t.Fatal("no key of the provider made the access token")
	return nil
}

// testDPoP: a proof binds the access token to its key (RFC 9449), and is not good
// twice.
func (c oidcTrial) testDPoP(t *testing.T) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	metadata, err := c.client.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ack := ring(t, c.client, anna())
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
	request := ciba.TokenRequest{
		AuthReqID: ack.AuthReqID,
		Expect:    ciba.Expect{Subject: "anna"},
		DPoPProof: dpopProof(t, key, metadata.TokenEndpoint),
	}
	tokens, err := c.client.RequestToken(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if tokens.TokenType != "DPoP" {
		t.Errorf("type %q", tokens.TokenType)
	}
	thumbprint := must((&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256))
	bound, _ := c.op.introspect(t, c.as, tokens.AccessToken)["cnf"].(map[string]any)
	if bound["jkt"] != base64.RawURLEncoding.EncodeToString(thumbprint) {
		t.Errorf("access token is bound to %v", bound)
	}

	// The provider looks for repeated proofs after it has spent the request: a
	// proof that is sent again costs the sign-in.
	ack = ring(t, c.client, anna())
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
	request.AuthReqID = ack.AuthReqID
	_, err = c.client.RequestToken(t.Context(), request)
	wantClasses(t, err, ciba.ErrInvalidGrant)
	request.DPoPProof = dpopProof(t, key, metadata.TokenEndpoint)
	_, err = c.client.RequestToken(t.Context(), request)
	wantClasses(t, err, ciba.ErrInvalidGrant)
}

func dpopProof(t *testing.T, key *ecdsa.PrivateKey, tokenURL string) string {
	t.Helper()
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"),
	)
	if err != nil {
		t.Fatal(err)
	}
	claims := must(json.Marshal(map[string]any{
		"jti": rand.Text(), "htm": "POST", "htu": tokenURL, "iat": time.Now().Unix(),
	}))
	return must(must(signer.Sign(claims)).CompactSerialize())
}

// testUnknownAuthority: TLS is real, so a client that does not know the
// authority gets nowhere, and nothing rings.
func (c oidcTrial) testUnknownAuthority(t *testing.T) {
	client, err := ciba.New(ciba.Config{Issuer: c.op.issuer, ClientID: c.as.id, Auth: c.as.auth})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.RequestAuthentication(t.Context(), anna())
	wantClasses(t, err, ciba.ErrUnavailable)
}

// TestInteropOIDCProviderWait waits as long as the rules want: this provider
// names no interval, so five seconds.
func TestInteropOIDCProviderWait(t *testing.T) {
	clients := oidcClients()[:1]
	op := startOIDCProvider(t, clients)
	client := op.client(t, clients[0], clients[0].auth)
	t.Run("group", func(t *testing.T) {
		t.Run("approved", func(t *testing.T) {
			t.Parallel()
			ack, start := ring(t, client, anna()), time.Now()
			op.decide(t, decision{AuthReqID: ack.AuthReqID})
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
