package ciba

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// assertionLife is how long a client assertion is good for: one request.
const assertionLife = time.Minute

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// A PrivateKey signs client assertions.
type PrivateKey struct {
	// Signer is an RSA (2048 bits or more), ECDSA (P-256, P-384, P-521) or Ed25519
	// key, in memory or in hardware. Required.
	Signer crypto.Signer
	// KeyID is the kid under which the provider knows the public key; "" for none.
	KeyID string
	// Algorithm is the JWS algorithm; "" means PS256, ES256, ES384, ES512 or
	// EdDSA, whichever the key is for.
	Algorithm string
}

// PrivateKeyJWT authenticates with a signed assertion (RFC 7523 section 3,
// OpenID Connect Core section 9), a new one for each request. Its only audience
// is the issuer. Errors are of type [*FieldError].
func PrivateKeyJWT(key PrivateKey) (Authenticator, error) {
	signer, err := newSigner(key)
	if err != nil {
		return nil, err
	}
	return &privateKeyJWT{signer: signer}, nil
}

type privateKeyJWT struct{ signer jose.Signer }

func (*privateKeyJWT) Method() string { return "private_key_jwt" }

func (a *privateKeyJWT) Authenticate(id Identity, form url.Values, _ http.Header) error {
	now := time.Now().Unix()
	assertion, err := sign(a.signer, map[string]any{
		"iss": id.ClientID,
		"sub": id.ClientID,
		"aud": id.Issuer,
		"jti": rand.Text(),
		"iat": now,
		"exp": now + int64(assertionLife/time.Second),
	})
	if err != nil {
		return fmt.Errorf("signing the client assertion: %w", err)
	}
	form.Set("client_id", id.ClientID)
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", assertion)
	return nil
}

// newSigner returns a JWS signer that leaves the private key where it is.
func newSigner(key PrivateKey) (jose.Signer, error) {
	if key.Signer == nil {
		return nil, fieldErrorf("Signer", "is missing")
	}
	public := key.Signer.Public()
	algs := algsFor(public)
	if len(algs) == 0 {
		return nil, fieldErrorf("Signer", "has a key of type %T; RSA with %d bits or more, ECDSA on P-256, P-384 or P-521, and Ed25519 are supported", public, minRSABits)
	}
	alg := algs[0]
	if key.Algorithm != "" {
		alg = jose.SignatureAlgorithm(key.Algorithm)
	}
	if !slices.Contains(algs, alg) {
		return nil, fieldErrorf("Algorithm", "%q does not fit the key, which allows %q", key.Algorithm, algs)
	}
	opaque := &opaqueSigner{signer: key.Signer, public: &jose.JSONWebKey{Key: public, KeyID: key.KeyID}, algs: algs}
	return jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: opaque}, (&jose.SignerOptions{}).WithType("JWT"))
}

// algsFor returns the algorithms that a key can sign with, best first.
func algsFor(public crypto.PublicKey) []jose.SignatureAlgorithm {
	if k, ok := public.(*rsa.PublicKey); ok && k.N.BitLen() < minRSABits {
		return nil
	}
	switch k := public.(type) {
	case *rsa.PublicKey:
		return rsaAlgs
	case *ecdsa.PublicKey:
		if alg, ok := curveAlgs[k.Curve.Params().BitSize]; ok {
			return []jose.SignatureAlgorithm{alg}
		}
	case ed25519.PublicKey:
		return []jose.SignatureAlgorithm{jose.EdDSA}
	}
	return nil
}

func sign(signer jose.Signer, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// opaqueSigner adapts a crypto.Signer. go-jose has such an adapter, but its PSS
// signatures carry the longest possible salt, where RFC 7518 section 3.5 wants
// one as long as the hash, and strict providers refuse them.
type opaqueSigner struct {
	signer crypto.Signer
	public *jose.JSONWebKey
	algs   []jose.SignatureAlgorithm
}

var _ jose.OpaqueSigner = (*opaqueSigner)(nil)

func (s *opaqueSigner) Public() *jose.JSONWebKey        { return s.public }
func (s *opaqueSigner) Algs() []jose.SignatureAlgorithm { return s.algs }

func (s *opaqueSigner) SignPayload(payload []byte, alg jose.SignatureAlgorithm) ([]byte, error) {
	hash := hashOf(alg)
	var opts crypto.SignerOpts = hash
	switch alg {
	case jose.EdDSA:
		return s.signer.Sign(rand.Reader, payload, crypto.Hash(0))
	case jose.PS256, jose.PS384, jose.PS512:
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	h := hash.New()
	h.Write(payload)
	signature, err := s.signer.Sign(rand.Reader, h.Sum(nil), opts)
	if key, ok := s.public.Key.(*ecdsa.PublicKey); ok && err == nil {
		return fixedECDSA(signature, curveBytes(key))
	}
	return signature, err
}

// fixedECDSA turns an ASN.1 signature into the two numbers of size bytes that
// JWS wants (RFC 7518 section 3.4).
func fixedECDSA(der []byte, size int) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &sig)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 || sig.R.Sign() <= 0 || sig.S.Sign() <= 0 || sig.R.BitLen() > 8*size || sig.S.BitLen() > 8*size {
		return nil, errors.New("signer returned no ECDSA signature for its key")
	}
	out := make([]byte, 2*size)
	sig.R.FillBytes(out[:size])
	sig.S.FillBytes(out[size:])
	return out, nil
}

// hashOf returns the hash of a JWS algorithm, which at_hash and rt_hash use as
// well. For EdDSA, where no specification names one, it is the SHA-512 that
// Ed25519 itself uses.
func hashOf(alg jose.SignatureAlgorithm) crypto.Hash {
	switch alg {
	case jose.RS256, jose.PS256, jose.ES256:
		return crypto.SHA256
	case jose.RS384, jose.PS384, jose.ES384:
		return crypto.SHA384
	default:
		return crypto.SHA512
	}
}
