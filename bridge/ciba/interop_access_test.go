package ciba_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// car is the one resource that providers know, and unlock the type of
// authorization details that clients may ask for.
const (
	car    = "https://car.example.com/"
	unlock = `{"type":"vehicle","locations":["urn:vin:WVWZZZ1JZXW000001"],"actions":["unlock","seat"]}`
)

// accessRows are about what is asked for, in every mode.
func accessRows() []interopRow {
	return []interopRow{
		{name: "for a resource", try: (*interopTrial).forResource},
		{name: "for an unknown resource", try: (*interopTrial).unknownResource, want: []error{ciba.ErrInvalidRequest}},
		{name: "with authorization details", try: (*interopTrial).withDetails},
		{name: "with authorization details of a type that is not the client's", try: (*interopTrial).otherDetails, want: []error{ciba.ErrInvalidRequest}},
		{name: "bound to the certificate", try: (*interopTrial).bound, unless: uncertified},
		{name: "signed request with authorization details", try: func(c *interopTrial, t *testing.T) error { return c.signing.withDetails(t) }},
		{name: "request signed by another", try: (*interopTrial).signedByAnother, want: []error{ciba.ErrInvalidRequest}},
		{name: "unsigned request where a signed one is due", try: (*interopTrial).unsigned, want: []error{ciba.ErrInvalidRequest}},
	}
}

func uncertified(c interopClient) string {
	if c.right.Certificate == nil {
		return "no certificate"
	}
	return ""
}

func forCar(r *ciba.AuthenticationRequest) {
	r.Scope, r.Resource = []string{"openid", "seat"}, []string{car}
}

// forResource: the access token is a JWT (RFC 9068) for the resource (RFC 8707)
// and nobody else.
func (c *interopTrial) forResource(t *testing.T) error {
	tokens, err := c.signIn(t, forCar)
	if err != nil {
		return err
	}
	if !slices.Contains(tokens.Scope, "seat") {
		t.Errorf("scope %q", tokens.Scope)
	}
	var claims struct {
		jwt.Claims
		ClientID string `json:"client_id"`
		Scope    string `json:"scope"`
	}
	if err := json.Unmarshal(c.verifyAccessToken(t, tokens.AccessToken), &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Issuer != c.peer.issuer || claims.Subject != "anna" || !slices.Equal(claims.Audience, []string{car}) || claims.ClientID != c.as.id || !strings.Contains(claims.Scope, "seat") {
		t.Errorf("access token says %+v", claims)
	}
	return nil
}

func (c *interopTrial) unknownResource(t *testing.T) error {
	_, err := c.ring(t, func(r *ciba.AuthenticationRequest) { r.Resource = []string{"https://boat.example.com/"} })
	return err
}

// withDetails: the request says what it is about, the phone shows it, and the
// answer and the access token repeat it (RFC 9396).
func (c *interopTrial) withDetails(t *testing.T) error {
	s := c.mustRing(t, forCar, func(r *ciba.AuthenticationRequest) {
		r.AuthorizationDetails = []json.RawMessage{json.RawMessage(unlock)}
	})
	if shown := c.decide(t, s, false); !sameJSON(t, shown["authorization_details"], "["+unlock+"]") {
		t.Errorf("the phone shows %v", shown)
	}
	tokens, err := c.collect(t, s)
	if err != nil {
		return err
	}
	granted, err := ciba.ParseAuthorizationDetails(tokens.AuthorizationDetails)
	if err != nil || len(granted) != 1 || granted[0].Type != "vehicle" || !sameJSON(t, string(granted[0].JSON), unlock) {
		t.Errorf("granted %s, %v", tokens.AuthorizationDetails, err)
	}
	var claims map[string]any
	if err := json.Unmarshal(c.verifyAccessToken(t, tokens.AccessToken), &claims); err != nil {
		t.Fatal(err)
	}
	c.checkBound(t, claims)
	if !sameJSON(t, claims["authorization_details"], "["+unlock+"]") {
		t.Errorf("access token says %v", claims)
	}
	return nil
}

// sameJSON compares a value, or the JSON text of one, with JSON text.
func sameJSON(t *testing.T, got any, want string) bool {
	t.Helper()
	text, ok := got.(string)
	if !ok {
		text = string(must(json.Marshal(got)))
	}
	var a, b any
	if json.Unmarshal([]byte(text), &a) != nil || json.Unmarshal([]byte(want), &b) != nil {
		return false
	}
	return string(must(json.Marshal(a))) == string(must(json.Marshal(b)))
}

func (c *interopTrial) otherDetails(t *testing.T) error {
	_, err := c.ring(t, forCar, func(r *ciba.AuthenticationRequest) {
		r.AuthorizationDetails = []json.RawMessage{json.RawMessage(`{"type":"vessel"}`)}
	})
	return err
}

func (c *interopTrial) bound(t *testing.T) error {
	tokens, err := c.signIn(t)
	if err == nil {
		c.checkBound(t, c.peer.introspect(t, tokens.AccessToken))
	}
	return err
}

// checkBound: the access token of a client with a certificate is bound to it
// (RFC 8705 section 3.1).
func (c *interopTrial) checkBound(t *testing.T, claims map[string]any) {
	t.Helper()
	if c.as.right.Certificate == nil {
		return
	}
	sum := sha256.Sum256(must(c.as.right.Certificate()).Certificate[0])
	bound, _ := claims["cnf"].(map[string]any)
	if bound["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
		t.Errorf("access token is bound to %v", bound)
	}
}

// signedByAnother: by a key of the same name.
func (c *interopTrial) signedByAnother(t *testing.T) error {
	signing := *c.signing.as.right.RequestSigning
	signing.Key.Signer = anotherKey(t, signing.Key.Signer)
	return c.ringSigned(t, &signing)
}

func (c *interopTrial) unsigned(t *testing.T) error { return c.ringSigned(t, nil) }

func (c *interopTrial) ringSigned(t *testing.T, how *ciba.RequestSigning) error {
	forger, proof := *c.signing, c.signing.as.right
	proof.RequestSigning = how
	forger.client = c.peer.client(t, forger.as, proof)
	_, err := forger.ring(t)
	return err
}

// verifyAccessToken returns the claims of a JWT access token.
func (c *interopTrial) verifyAccessToken(t *testing.T, token string) []byte {
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
	resp, err := c.peer.http.Get(metadata.JWKSURI)
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
