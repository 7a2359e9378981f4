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

// A repeatedProof is what a provider makes of a DPoP proof that is sent again.
type repeatedProof struct {
	refused error // the class of the refusal
	lost    bool  // the sign-in is spent by it
}

// keyRows are about tokens bound to a key, in every mode but push, which has no
// request that could carry a proof.
func keyRows(repeated repeatedProof) []interopRow {
	certified := func(c interopClient) string {
		if c.right.Certificate != nil {
			return "bound to the certificate"
		}
		return ""
	}
	var afterwards []error
	if repeated.lost {
		afterwards = []error{ciba.ErrInvalidGrant}
	}
	rows := []interopRow{
		{name: "bound to a key by DPoP", try: (*interopTrial).boundToKey},
		{name: "bound to a key, proof sent before", try: (*interopTrial).proofSentBefore, want: []error{repeated.refused}},
		{name: "bound to a key, new proof after that", try: (*interopTrial).proofRenewed, want: afterwards},
	}
	for i := range rows {
		rows[i].modes, rows[i].unless = []ciba.DeliveryMode{ciba.DeliveryPoll, ciba.DeliveryPing}, certified
	}
	return rows
}

// boundToKey: a proof binds the access token to its key (RFC 9449).
func (c *interopTrial) boundToKey(t *testing.T) error {
	key := mtlstest.Key(t).(*ecdsa.PrivateKey)
	tokens, err := c.prove(t, c.approvedRequest(t), c.dpopProof(t, key))
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
	refused, _ := c.repeatProof(t)
	return refused
}

func (c *interopTrial) proofRenewed(t *testing.T) error {
	_, afterwards := c.repeatProof(t)
	return afterwards
}

// repeatProof asks with a proof that was used for another request, and then with
// one that is new.
func (c *interopTrial) repeatProof(t *testing.T) (refused, afterwards error) {
	t.Helper()
	key := mtlstest.Key(t).(*ecdsa.PrivateKey)
	proof := c.dpopProof(t, key)
	if _, err := c.prove(t, c.approvedRequest(t), proof); err != nil {
		t.Fatal(err)
	}
	s := c.approvedRequest(t)
	_, refused = c.prove(t, s, proof)
	_, afterwards = c.prove(t, s, c.dpopProof(t, key))
	return refused, afterwards
}

func (c *interopTrial) approvedRequest(t *testing.T) interopSignIn {
	t.Helper()
	s := c.mustRing(t)
	c.decide(t, s, false)
	return s
}

func (c *interopTrial) prove(t *testing.T, s interopSignIn, proof string) (*ciba.Tokens, error) {
	t.Helper()
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
