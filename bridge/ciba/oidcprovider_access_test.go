package ciba_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/go-jose/go-jose/v4"
)

// These tests ask oidc-provider for access tokens that are good for less.

// car is the one resource that the provider knows.
const car = "https://car.example.com/"

// testResource: the access token is a JWT (RFC 9068) for the resource (RFC 8707)
// and nobody else.
func (c oidcTrial) testResource(t *testing.T) {
	req := anna()
	req.Scope = []string{"openid", "seat"}
	req.Resource = []string{car}
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

// testDetails: a signed request says what it is about, the phone shows it, and
// the answer and the access token repeat it (RFC 9396), bound to a certificate.
func (c oidcTrial) testDetails(t *testing.T) {
	const unlock = `{"type":"vehicle","locations":["urn:vin:WVWZZZ1JZXW000001"],"actions":["unlock","seat"]}`
	req := anna()
	req.Resource = []string{car}
	req.AuthorizationDetails = []json.RawMessage{json.RawMessage(unlock)}
	tokens := c.signIn(t, req, decision{}, ciba.Expect{Subject: "anna"})
	granted, err := ciba.ParseAuthorizationDetails(tokens.AuthorizationDetails)
	if err != nil || len(granted) != 1 || granted[0].Type != "vehicle" || string(granted[0].JSON) != unlock {
		t.Errorf("granted %s, %v", tokens.AuthorizationDetails, err)
	}
	var claims map[string]any
	payload := c.verifyAccessToken(t, tokens.AccessToken)
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	c.checkBound(t, claims)
	if !strings.Contains(string(payload), `"authorization_details":[`+unlock+`]`) {
		t.Errorf("access token says %s", payload)
	}

	req.AuthorizationDetails = []json.RawMessage{json.RawMessage(`{"type":"vessel"}`)}
	_, err = c.client.RequestAuthentication(t.Context(), req)
	wantCode(t, err, ciba.CodeInvalidAuthorizationDetails, ciba.ErrInvalidRequest)
}

// testSignature: the provider refuses a request that another key signed, and one
// without a signature from a client that signs.
func (c oidcTrial) testSignature(t *testing.T) {
	forger, silent := c.as.right, c.as.right
	forger.RequestSigning = signRequests(must(rsa.GenerateKey(rand.Reader, 2048)))
	silent.RequestSigning = nil
	for _, proof := range []ciba.Config{forger, silent} {
		_, err := c.op.client(t, c.as, proof).RequestAuthentication(t.Context(), anna())
		wantCode(t, err, ciba.CodeInvalidRequest, ciba.ErrInvalidRequest)
	}
}

// wantCode checks the code of an error answer, and its classes.
func wantCode(t *testing.T, err error, code ciba.Code, classes ...error) {
	t.Helper()
	wantClasses(t, err, classes...)
	var e *ciba.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("want code %q, got %v", code, err)
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
