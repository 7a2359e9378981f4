package schemas

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/veraison/go-cose"
)

// Sealing is COSE_Encrypt0 (RFC 9052 section 5.2) with integrated HPKE in
// base mode, HPKE-3 of draft-ietf-cose-hpke: DHKEM(X25519, HKDF-SHA256),
// HKDF-SHA256, AES-128-GCM, empty info. The draft is not an RFC yet, so its
// code points stand here and nowhere else.
const (
	algHPKE3   cose.Algorithm = 41
	contextEnc                = "Encrypt0" // Enc_structure, RFC 9052 section 5.3
)

// SealOverhead is how many bytes longer a sealed grant is than its plaintext,
// for plaintexts of 240 to 65,519 bytes.
const SealOverhead = 61

// encrypt0 is the untagged COSE_Encrypt0.
type encrypt0 struct {
	_           struct{} `cbor:",toarray"`
	Protected   Bytes
	Unprotected encapsulation
	Ciphertext  Bytes
}

// encapsulation carries ek, the HPKE enc value.
type encapsulation struct {
	Key PublicKey `cbor:"-4,keyasint"`
}

func (e *encrypt0) check() error {
	return needField("ek", e.Unprotected.Key != PublicKey{})
}

type sealHeader struct {
	Alg *cose.Algorithm `cbor:"1,keyasint,omitempty"`
	Kid *KeyID          `cbor:"4,keyasint,omitempty"` // hints only: the bridge has several keys, a request has one
}

// encStructure is what HPKE authenticates besides the plaintext.
type encStructure struct {
	_         struct{} `cbor:",toarray"`
	Context   string
	Protected []byte
	External  []byte
}

// A SealKey is an X25519 private key to which others seal.
type SealKey struct {
	hpke hpke.PrivateKey
	ecdh *ecdh.PrivateKey // nil where the key lives in hardware
	pub  PublicKey
}

// GenerateSealKey makes a key in memory.
func GenerateSealKey() (*SealKey, error) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return NewSealKey(k)
}

// NewSealKey wraps an X25519 key. An [ecdh.KeyExchanger] may be a key that
// never leaves hardware.
func NewSealKey(k ecdh.KeyExchanger) (*SealKey, error) {
	if k.Curve() != ecdh.X25519() {
		return nil, errors.New("sealing key is not X25519")
	}
	priv, err := hpke.NewDHKEMPrivateKey(k)
	if err != nil {
		return nil, err
	}
	own, _ := k.(*ecdh.PrivateKey)
	return &SealKey{priv, own, PublicKey(k.PublicKey().Bytes())}, nil
}

// ParseSealKey reads the 32 bytes that Bytes returned.
func ParseSealKey(b []byte) (*SealKey, error) {
	k, err := ecdh.X25519().NewPrivateKey(b)
	if err != nil {
		return nil, errors.New("sealing key is not 32 bytes of X25519")
	}
	return NewSealKey(k)
}

// Public returns the key to seal to.
func (k *SealKey) Public() PublicKey { return k.pub }

// Bytes returns the private key, for a file of mode 0600; nil where it lives
// in hardware.
func (k *SealKey) Bytes() []byte {
	if k.ecdh == nil {
		return nil
	}
	return k.ecdh.Bytes()
}

// sealTo encrypts plaintext for the holder of pub, bound to the topic it
// travels on and the request it belongs to.
func sealTo(pub PublicKey, kid *KeyID, t Topic, id ID, plaintext []byte) ([]byte, error) {
	point, err := ecdh.X25519().NewPublicKey(pub[:])
	if err != nil {
		return nil, err
	}
	key, err := hpke.NewDHKEMPublicKey(point)
	if err != nil {
		return nil, err
	}
	enc, sender, err := hpke.NewSender(key, hpke.HKDFSHA256(), hpke.AES128GCM(), nil)
	if err != nil {
		return nil, err
	}
	alg := algHPKE3
	protected := marshal(sealHeader{Alg: &alg, Kid: kid})
	ct, err := sender.Seal(sealAAD(protected, t, id), plaintext)
	if err != nil {
		return nil, err
	}
	return marshal(encrypt0{Protected: protected, Unprotected: encapsulation{PublicKey(enc)}, Ciphertext: ct}), nil
}

// openWith is the inverse of sealTo. Whatever is wrong with the ciphertext,
// the key, the topic or the id, the error is the same.
func (k *SealKey) openWith(withKid bool, t Topic, id ID, sealed []byte) ([]byte, error) {
	e, h, err := parseSealed(sealed)
	if err != nil {
		return nil, err
	}
	if withKid != (h.Kid != nil) {
		return nil, failf(ClassHeader, "sealed", "a hint names its key by kid, a grant does not")
	}
	if h.Kid != nil && *h.Kid != k.pub.ID() {
		return nil, failf(ClassKey, "sealed", "sealed to key %v, this is %v", *h.Kid, k.pub.ID())
	}
	r, err := hpke.NewRecipient(e.Unprotected.Key[:], k.hpke, hpke.HKDFSHA256(), hpke.AES128GCM(), nil)
	if err != nil {
		return nil, errSealed
	}
	plaintext, err := r.Open(sealAAD(e.Protected, t, id), e.Ciphertext)
	if err != nil {
		return nil, errSealed
	}
	return plaintext, nil
}

// parseSealed takes a COSE_Encrypt0 apart.
func parseSealed(sealed []byte) (e encrypt0, h sealHeader, err error) {
	if err := unmarshal(sealed, &e, e.check); err != nil {
		return encrypt0{}, sealHeader{}, fmt.Errorf("sealed: %w", err)
	}
	if err := unmarshal(e.Protected, &h, nil); err != nil {
		return encrypt0{}, sealHeader{}, fmt.Errorf("sealed: protected header: %w", err)
	}
	if h.Alg == nil {
		return encrypt0{}, sealHeader{}, failf(ClassAlg, "sealed", "alg missing")
	}
	if *h.Alg != algHPKE3 {
		return encrypt0{}, sealHeader{}, failf(ClassAlg, "sealed", "alg %d, want %d (HPKE-3)", int64(*h.Alg), int64(algHPKE3))
	}
	return e, h, nil
}

var errSealed = failf(ClassSealed, "sealed", "does not open with this key for this request")

// sealAAD is the Enc_structure with external_aad = topic || id.
func sealAAD(protected []byte, t Topic, id ID) []byte {
	return marshal(encStructure{
		Context:   contextEnc,
		Protected: protected,
		External:  append([]byte(t.String()), id[:]...),
	})
}

// SealedTo returns the id of the key that a sealed hint names, so that a bridge
// with several keys finds the right one.
func SealedTo(sealed []byte) (KeyID, error) {
	_, h, err := parseSealed(sealed)
	if err != nil {
		return KeyID{}, err
	}
	if h.Kid == nil {
		return KeyID{}, failf(ClassHeader, "sealed", "no kid")
	}
	return *h.Kid, nil
}
