package schemas

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
)

// An ID is the name of one request, chosen at random by the device and unique
// among its requests (CWT cti, RFC 8392 section 3.1.7). Answers repeat it.
// A granted sign-in's id is also the name of the session it began.
type ID [8]byte

// A Handle names a person to one device, as its last grant said. Only that
// device and the bridge know what it stands for, and each grant replaces it,
// so that two sign-ins cannot be linked.
type Handle [8]byte

// A KeyID is the kid of a certificate: the first 8 bytes of the SHA-256 of
// its DER encoding. For a sealing key, of its 32 bytes.
type KeyID [8]byte

// A WelcomeID names what a welcome said (certificates, sealing key, versions),
// so that a device that has it is not told again. Opaque to the device.
type WelcomeID [8]byte

// NewID returns a random request id.
func NewID() ID { return ID(random8()) }

// NewHandle returns a random handle.
func NewHandle() Handle { return Handle(random8()) }

func random8() (b [8]byte) {
	for b == [8]byte{} {
		rand.Read(b[:])
	}
	return b
}

// KeyIDOf returns the kid of a certificate.
func KeyIDOf(c *x509.Certificate) KeyID { return keyID(c.Raw) }

func keyID(b []byte) KeyID {
	sum := sha256.Sum256(b)
	return KeyID(sum[:8])
}

// ParseID reads the hexadecimal form that String writes.
func ParseID(s string) (ID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(ID{}) {
		return ID{}, fmt.Errorf("request id %.40q is not 16 hexadecimal digits", s)
	}
	return ID(b), nil
}

func (x ID) String() string        { return hex.EncodeToString(x[:]) }
func (x Handle) String() string    { return hex.EncodeToString(x[:]) }
func (x KeyID) String() string     { return hex.EncodeToString(x[:]) }
func (x WelcomeID) String() string { return hex.EncodeToString(x[:]) }

// The codec would silently cut or pad a byte string to fit an array, hence
// these.

// MarshalCBOR writes a byte string of 8.
func (x ID) MarshalCBOR() ([]byte, error) { return append([]byte{0x48}, x[:]...), nil }

// UnmarshalCBOR accepts a byte string of exactly 8.
func (x *ID) UnmarshalCBOR(b []byte) error { return fixed(x[:], b) }

// MarshalCBOR writes a byte string of 8.
func (x Handle) MarshalCBOR() ([]byte, error) { return append([]byte{0x48}, x[:]...), nil }

// UnmarshalCBOR accepts a byte string of exactly 8.
func (x *Handle) UnmarshalCBOR(b []byte) error { return fixed(x[:], b) }

// MarshalCBOR writes a byte string of 8.
func (x KeyID) MarshalCBOR() ([]byte, error) { return append([]byte{0x48}, x[:]...), nil }

// UnmarshalCBOR accepts a byte string of exactly 8.
func (x *KeyID) UnmarshalCBOR(b []byte) error { return fixed(x[:], b) }

// MarshalCBOR writes a byte string of 8.
func (x WelcomeID) MarshalCBOR() ([]byte, error) { return append([]byte{0x48}, x[:]...), nil }

// UnmarshalCBOR accepts a byte string of exactly 8.
func (x *WelcomeID) UnmarshalCBOR(b []byte) error { return fixed(x[:], b) }

// A PublicKey is an X25519 public key (RFC 7748): what is sealed to it, only
// the holder of the private key reads.
type PublicKey [32]byte

// ID returns the key id by which a sealed hint names the key.
func (x PublicKey) ID() KeyID { return keyID(x[:]) }

// MarshalCBOR writes a byte string of 32.
func (x PublicKey) MarshalCBOR() ([]byte, error) { return append([]byte{0x58, 32}, x[:]...), nil }

// UnmarshalCBOR accepts a byte string of exactly 32.
func (x *PublicKey) UnmarshalCBOR(b []byte) error { return fixed(x[:], b) }

// Bytes is a byte string of any length. The codec alone would also take an
// array of numbers for one.
type Bytes []byte

// UnmarshalCBOR accepts only a byte string.
func (x *Bytes) UnmarshalCBOR(b []byte) error {
	if b[0]>>5 != 2 {
		return failf(ClassWrongType, "", "want a byte string")
	}
	return decMode.Unmarshal(b, (*[]byte)(x))
}

// fixed copies the byte string encoded in b, which must have the length of
// dst, into dst.
func fixed(dst, b []byte) error {
	var s Bytes
	if err := s.UnmarshalCBOR(b); err != nil {
		return err
	}
	if len(s) != len(dst) {
		return failf(ClassLimit, "", "byte string of %d, want %d", len(s), len(dst))
	}
	copy(dst, s)
	return nil
}
