package schemas

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/veraison/go-cose"
)

// MaxProofs is how many DPoP proofs one Prove may ask for.
const MaxProofs = 60

// ProofClaims is what varies in the DPoP proofs (RFC 9449 section 4.2) that a
// device signs for a token endpoint. Both sides build the same bytes from it,
// so that only 64 bytes of signature travel.
type ProofClaims struct {
	Device   DeviceID
	ID       ID     // of the request or the renewal
	Number   uint16 // counts the proofs of one request; strictly increasing
	Endpoint string // htu: the token endpoint, from the device's own pinned list
	IssuedAt uint64 // seconds
	Nonce    string // or ""
}

// ProofInput returns the JWS signing input (RFC 7515 section 5.1) of the proof
// for the key pub, P-256 or Ed25519:
//
//	base64url(header) . base64url(payload)
//
// with, in exactly this order and without blanks,
//
//	{"typ":"dpop+jwt","alg":"ES256","jwk":{"crv":"P-256","kty":"EC","x":"…","y":"…"}}
//	{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"crv":"Ed25519","kty":"OKP","x":"…"}}
//	{"jti":"…","htm":"POST","htu":"…","iat":N[,"nonce":"…"]}
//
// where jti is the base64url of the first 16 bytes of SHA-256 over the ASCII
// text "carillon/v1 proof", a zero byte, the device id, a zero byte, the 8
// bytes of the request id and the number in two bytes, big endian. Because it
// is derived, the bridge cannot choose it.
//
// The device signs what it built itself, never what it was sent; the bridge
// appends "." and the base64url of the signature.
func ProofInput(pub crypto.PublicKey, c ProofClaims) ([]byte, error) {
	jwk, alg, err := proofKey(pub)
	if err != nil {
		return nil, err
	}
	if err := checkEndpoint(c.Endpoint); err != nil {
		return nil, err
	}
	if err := checkNonce(c.Nonce); err != nil {
		return nil, err
	}
	nonce := ""
	if c.Nonce != "" {
		nonce = `,"nonce":"` + c.Nonce + `"`
	}
	header := fmt.Sprintf(`{"typ":"dpop+jwt","alg":"%s","jwk":%s}`, alg, jwk)
	payload := fmt.Sprintf(`{"jti":"%s","htm":"POST","htu":"%s","iat":%d%s}`, proofJTI(c), c.Endpoint, c.IssuedAt, nonce)
	return []byte(b64([]byte(header)) + "." + b64([]byte(payload))), nil
}

// VerifyProof reports whether sig, 64 bytes, is pub's signature of the proof.
func VerifyProof(pub crypto.PublicKey, c ProofClaims, sig []byte) bool {
	input, err := ProofInput(pub, c)
	if err != nil || len(sig) != 64 {
		return false
	}
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(input)
		return ecdsa.Verify(k, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case ed25519.PublicKey:
		return ed25519.Verify(k, input, sig)
	}
	return false
}

// Thumbprint returns the RFC 7638 thumbprint of a key, base64url: the cnf.jkt
// of a token bound to it.
func Thumbprint(pub crypto.PublicKey) (string, error) {
	jwk, _, err := proofKey(pub)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(jwk))
	return b64(sum[:]), nil
}

// proofKey returns the JWK in the canonical form of RFC 7638 and its alg.
func proofKey(pub crypto.PublicKey) (jwk, alg string, err error) {
	c, err := NewConfirmKey(pub)
	if err != nil {
		return "", "", err
	}
	if c.Key.Type == cose.KeyTypeEC2 {
		return fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, b64(c.Key.X), b64(c.Key.Y)), "ES256", nil
	}
	return fmt.Sprintf(`{"crv":"Ed25519","kty":"OKP","x":"%s"}`, b64(c.Key.X)), "EdDSA", nil
}

func proofJTI(c ProofClaims) string {
	b := []byte("carillon/v1 proof\x00" + string(c.Device) + "\x00")
	b = append(b, c.ID[:]...)
	b = binary.BigEndian.AppendUint16(b, c.Number)
	sum := sha256.Sum256(b)
	return b64(sum[:16])
}

// checkEndpoint wants a URL that can stand in JSON as it is.
func checkEndpoint(s string) error {
	if s == "" || len(s) > maxEndpoint {
		return failf(ClassLimit, "endpoint", "%d bytes, want 1 to %d", len(s), maxEndpoint)
	}
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' || c == '?' || c == '#' {
			return failf(ClassLimit, "endpoint", "byte %#02x at %d, want a URL without query and fragment (RFC 9449 section 4.2)", c, i)
		}
	}
	return nil
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
