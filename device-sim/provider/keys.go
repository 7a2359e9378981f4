package provider

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/luikyv/go-oidc/pkg/goidc"
)

// signingKey is the provider's ES256 key.
type signingKey struct {
	id     string
	secret crypto.Signer
}

func newSigningKey(key crypto.Signer) (*signingKey, error) {
	if key == nil {
		return nil, errors.New("key is nil")
	}
	pub, ok := key.Public().(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return nil, fmt.Errorf("key is a %T, an ECDSA key on P-256 is needed", key.Public())
	}
	id, err := keyID(pub)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return &signingKey{id: id, secret: key}, nil
}

// jwks is what the provider publishes.
func (k *signingKey) jwks(context.Context) (goidc.JSONWebKeySet, error) {
	return goidc.JSONWebKeySet{Keys: []goidc.JSONWebKey{*k.Public()}}, nil
}

// signer is what go-oidc signs with.
func (k *signingKey) signer(context.Context, goidc.SignatureAlgorithm) (string, crypto.Signer, error) {
	return k.id, rawSigner{k.secret}, nil
}

// sign makes a compact JWS of claims with the given media type.
func (k *signingKey) sign(typ jose.ContentType, claims any) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k}, (&jose.SignerOptions{}).WithType(typ))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

// Public implements jose.OpaqueSigner.
func (k *signingKey) Public() *jose.JSONWebKey {
	return &jose.JSONWebKey{KeyID: k.id, Key: k.secret.Public(), Algorithm: string(jose.ES256), Use: "sig"}
}

// Algs implements jose.OpaqueSigner.
func (k *signingKey) Algs() []jose.SignatureAlgorithm { return []jose.SignatureAlgorithm{jose.ES256} }

// SignPayload implements jose.OpaqueSigner.
func (k *signingKey) SignPayload(payload []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	digest := sha256.Sum256(payload)
	return rawSigner{k.secret}.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// rawSigner gives ECDSA signatures as JWS wants them, r and s of 32 bytes each
// (RFC 7518 section 3.4). A crypto.Signer gives ASN.1, and go-oidc v0.25.0
// would put that into the token as it is.
type rawSigner struct{ crypto.Signer }

// Sign implements crypto.Signer.
func (s rawSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	der, err := s.Signer.Sign(random, digest, opts)
	if err != nil {
		return nil, err
	}
	var sig struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &sig); err != nil || len(rest) != 0 {
		return nil, errors.New("the key's signature is not an ASN.1 pair of integers")
	}
	raw := make([]byte, 64)
	sig.R.FillBytes(raw[:32])
	sig.S.FillBytes(raw[32:])
	return raw, nil
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
