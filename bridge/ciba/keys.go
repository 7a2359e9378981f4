package ciba

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Limits of a key set.
const (
	maxKeys    = 100
	minRSABits = 2048
)

// A keySet holds the provider's public signature keys.
type keySet struct{ keys []jose.JSONWebKey }

// fetchKeys fetches the provider's key set.
func (c *Client) fetchKeys(ctx context.Context) (*keySet, error) {
	m, err := c.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	a, err := c.do(ctx, exchange{
		endpoint: endpointKeys,
		url:      m.JWKSURI,
		timeout:  fetchTimeout,
		limit:    maxFetch,
	})
	if err != nil {
		return nil, err
	}
	o, err := a.object("application/jwk-set+json")
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(o)
	if err != nil {
		return nil, a.protocolErrorf("%v", err)
	}
	return keys, nil
}

var (
	errNoKeys   = errors.New("key set has no usable signature key")
	errKeys     = errors.New("member \"keys\" is not an array of objects")
	errManyKeys = errors.New("key set has more than 100 keys")
)

// parseKeys keeps the keys that can verify an ID token. RFC 7517 section 5 has
// keys of unknown kinds ignored; symmetric, private, short and encryption keys
// are ignored as well, and by go-jose those of more than it finds reasonable.
func parseKeys(o object) (*keySet, error) {
	var raw []json.RawMessage
	if json.Unmarshal(o["keys"], &raw) != nil {
		return nil, errKeys
	}
	if len(raw) > maxKeys {
		return nil, errManyKeys
	}
	var keys []jose.JSONWebKey
	for _, r := range raw {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(r) == nil && usable(&k) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	return &keySet{keys: keys}, nil
}

func usable(k *jose.JSONWebKey) bool {
	if k.Use != "" && k.Use != "sig" {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	default:
		return false
	}
}

// candidates returns the keys that may have made a signature with this kid and
// alg. Without a kid the key must be the only one of its kind (OpenID Connect
// Core section 10.1).
func (s *keySet) candidates(kid string, alg jose.SignatureAlgorithm) []jose.JSONWebKey {
	var found []jose.JSONWebKey
	for _, k := range s.keys {
		if (kid == "" || k.KeyID == kid) && (k.Algorithm == "" || k.Algorithm == string(alg)) && fits(k.Key, alg) {
			found = append(found, k)
		}
	}
	if kid == "" && len(found) > 1 {
		return nil
	}
	return found
}

// fits reports whether key is of the kind that alg signs with.
func fits(key any, alg jose.SignatureAlgorithm) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return slices.Contains(rsaAlgs, alg)
	case *ecdsa.PublicKey:
		return alg == curveAlgs[k.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return alg == jose.EdDSA
	default:
		return false
	}
}

// What follows is read only.
var (
	rsaAlgs   = []jose.SignatureAlgorithm{jose.PS256, jose.PS384, jose.PS512, jose.RS256, jose.RS384, jose.RS512}
	curveAlgs = map[int]jose.SignatureAlgorithm{256: jose.ES256, 384: jose.ES384, 521: jose.ES512}

	// asymmetricAlgs are all algorithms that this package knows. None of them is
	// "none" or an HMAC, which would let whoever has the public key sign.
	asymmetricAlgs = append([]jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}, rsaAlgs...)
)
