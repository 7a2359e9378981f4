package schemas

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
)

// A ConfirmKey is a public key that a token is to be bound to: req_cnf of
// RFC 9201 section 3.1, a cnf (RFC 8747 section 3.2) with a COSE_Key
// (RFC 9053 section 7) on P-256 or Ed25519. Without one, a token is bound to
// the key of the device's certificate.
type ConfirmKey struct {
	Key coseKey `cbor:"1,keyasint"`
}

type coseKey struct {
	Type  int64 `cbor:"1,keyasint"`  // 1 OKP, 2 EC2
	Curve int64 `cbor:"-1,keyasint"` // 6 Ed25519, 1 P-256
	X     Bytes `cbor:"-2,keyasint"`
	Y     Bytes `cbor:"-3,keyasint,omitempty"` // EC2 only, never compressed
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
		return &ConfirmKey{coseKey{Type: 2, Curve: 1, X: point[1:33], Y: point[33:]}}, nil
	case ed25519.PublicKey:
		return &ConfirmKey{coseKey{Type: 1, Curve: 6, X: Bytes(k)}}, nil
	}
	return nil, failf(ClassAlg, "req_cnf", "%T, want ECDSA P-256 or Ed25519", pub)
}

// Public returns the key.
func (c *ConfirmKey) Public() (crypto.PublicKey, error) {
	k := c.Key
	switch {
	case k.Type == 2 && k.Curve == 1 && len(k.X) == 32 && len(k.Y) == 32:
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, k.X...), k.Y...))
		if err != nil {
			return nil, failf(ClassLimit, "req_cnf", "not a point on P-256")
		}
		return pub, nil
	case k.Type == 1 && k.Curve == 6 && len(k.X) == 32 && k.Y == nil:
		return ed25519.PublicKey(k.X), nil
	}
	return nil, failf(ClassLimit, "req_cnf", "want a COSE_Key on P-256 (uncompressed) or Ed25519")
}

func (c *ConfirmKey) check() error {
	if c == nil {
		return nil
	}
	_, err := c.Public()
	return err
}
