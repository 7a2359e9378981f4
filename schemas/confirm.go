package schemas

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"

	"github.com/veraison/go-cose"
)

// A ConfirmKey is a public key that a token is to be bound to: req_cnf of
// RFC 9201 section 3.1, a cnf (RFC 8747 section 3.2) with a COSE_Key
// (RFC 9053 section 7) on P-256 or Ed25519. Without one, a token is bound to
// the key of the device's certificate.
type ConfirmKey struct {
	Key coseKey `cbor:"1,keyasint"`
}

type coseKey struct {
	Type  cose.KeyType `cbor:"1,keyasint"`  // 1 OKP, 2 EC2
	Curve cose.Curve   `cbor:"-1,keyasint"` // 6 Ed25519, 1 P-256
	X     Bytes        `cbor:"-2,keyasint"`
	Y     Bytes        `cbor:"-3,keyasint,omitempty"` // EC2 only, never compressed
}

// NewConfirmKey wraps an *ecdsa.PublicKey on P-256 or an ed25519.PublicKey.
func NewConfirmKey(pub crypto.PublicKey) (*ConfirmKey, error) {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			break
		}
		point, err := k.Bytes() // 4 || X || Y
		if err != nil {
			return nil, err
		}
		return &ConfirmKey{coseKey{Type: cose.KeyTypeEC2, Curve: cose.CurveP256, X: point[1:33], Y: point[33:]}}, nil
	case ed25519.PublicKey:
		return &ConfirmKey{coseKey{Type: cose.KeyTypeOKP, Curve: cose.CurveEd25519, X: Bytes(k)}}, nil
	}
	return nil, failf(ClassAlg, "req_cnf", "%T, want ECDSA P-256 or Ed25519", pub)
}

// Public returns the key.
func (c *ConfirmKey) Public() (crypto.PublicKey, error) {
	k := c.Key
	switch {
	case k.Type == cose.KeyTypeEC2 && k.Curve == cose.CurveP256 && len(k.X) == 32 && len(k.Y) == 32:
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, k.X...), k.Y...))
		if err != nil {
			return nil, failf(ClassLimit, "req_cnf", "not a point on P-256")
		}
		return pub, nil
	case k.Type == cose.KeyTypeOKP && k.Curve == cose.CurveEd25519 && len(k.X) == 32 && k.Y == nil:
		return ed25519.PublicKey(k.X), nil
	}
	return nil, failf(ClassLimit, "req_cnf", "want a COSE_Key on P-256 (uncompressed) or Ed25519")
}

func (c *ConfirmKey) check() error {
	if c == nil {
		return nil
	}
	k := c.Key
	if k.Type == 0 || k.Curve == 0 || k.X == nil || (k.Type == cose.KeyTypeEC2 && k.Y == nil) {
		return failf(ClassMissing, "req_cnf", "a COSE_Key with kty, crv, x and, for EC2, y is required")
	}
	_, err := c.Public()
	return err
}
