package ciba_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/go-jose/go-jose/v4"
)

// keyRows are about tokens bound to a key, in every mode but push, which has no
// request that could carry a proof.
func keyRows(repeated error) []interopRow {
	certified := func(c interopClient) string {
		if c.right.Certificate != nil {
			return "bound to the certificate"
		}
		return ""
	}
	asking := []ciba.DeliveryMode{ciba.DeliveryPoll, ciba.DeliveryPing}
	return []interopRow{
		{name: "bound to a key by DPoP", try: (*interopTrial).boundToKey, modes: asking, unless: certified},
		{name: "bound to a key, proof sent before", try: (*interopTrial).proofSentBefore, want: []error{repeated}, modes: asking, unless: certified},
	}
}

// boundToKey: a proof binds the access token to its key (RFC 9449).
func (c *interopTrial) boundToKey(t *testing.T) error {
	key := mtlstest.Key(t).(*ecdsa.PrivateKey)
	tokens, err := c.signInWith(t, c.dpopProof(t, key))
	if err != nil {
		return err
	}
	if tokens.TokenType != "DPoP" {
		t.Errorf("type %q", tokens.TokenType)
	}
	thumbprint := must((&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256))
	bound, _ := c.peer.introspect(t, tokens.AccessToken)["cnf"].(map[string]any)
	if bound["jkt"] != base64.RawURLEncoding.EncodeToString(thumbprint) {
		t.Errorf("access token is bound to %v", bound)
	}
	return nil
}

// proofSentBefore: it is not good twice.
func (c *interopTrial) proofSentBefore(t *testing.T) error {
	proof := c.dpopProof(t, mtlstest.Key(t).(*ecdsa.PrivateKey))
	if _, err := c.signInWith(t, proof); err != nil {
		t.Fatal(err)
	}
	_, err := c.signInWith(t, proof)
	return err
}

func (c *interopTrial) signInWith(t *testing.T, proof string) (*ciba.Tokens, error) {
	t.Helper()
	s := c.mustRing(t)
	c.decide(t, s, false)
	return c.client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: s.AuthReqID, Expect: s.expect, DPoPProof: proof})
}

// dpopProof returns a proof for one token request.
func (c *interopTrial) dpopProof(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	metadata, err := c.client.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"),
	)
	if err != nil {
		t.Fatal(err)
	}
	claims := must(json.Marshal(map[string]any{
		"jti": rand.Text(), "htm": "POST", "htu": metadata.TokenEndpoint, "iat": time.Now().Unix(),
	}))
	return must(must(signer.Sign(claims)).CompactSerialize())
}
