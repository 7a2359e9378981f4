package ciba

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// A compactJWS is a signed token in compact form (RFC 7515 section 7.1), taken
// apart once. go-jose would decode it, encode it again, and decode its header
// twice.
type compactJWS struct {
	signed                     string // what the signature is over
	header, payload, signature []byte
}

// parseCompact takes raw apart, and says nothing about its signature.
func parseCompact(raw string) (compactJWS, error) {
	if raw == "" || len(raw) > maxToken {
		return compactJWS{}, refuse(CheckPresent, "has %d bytes, want 1 to %d", len(raw), maxToken)
	}
	if n := strings.Count(raw, "."); n != 2 {
		return compactJWS{}, refuse(CheckForm, "has %d parts, want 3: an encrypted or unsigned token is not accepted", n+1)
	}
	first, second := strings.IndexByte(raw, '.'), strings.LastIndexByte(raw, '.')
	header, okHeader := decodeSegment(raw[:first])
	payload, okPayload := decodeSegment(raw[first+1 : second])
	signature, okSignature := decodeSegment(raw[second+1:])
	if !okHeader || !okPayload || !okSignature {
		return compactJWS{}, refuse(CheckForm, "has a part that is not base64url")
	}
	return compactJWS{signed: raw[:second], header: header, payload: payload, signature: signature}, nil
}

// signedBy reports whether the signature was made with alg (RFC 7518 section 3,
// RFC 8037 section 3.1) and the private part of key, which fits alg.
func (t *compactJWS) signedBy(key crypto.PublicKey, alg jose.SignatureAlgorithm) bool {
	if k, ok := key.(ed25519.PublicKey); ok {
		return ed25519.Verify(k, []byte(t.signed), t.signature)
	}
	hash := hashOf(alg)
	h := hash.New()
	h.Write([]byte(t.signed))
	digest := h.Sum(nil)
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		size := curveBytes(k)
		if len(t.signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(t.signature[:size]), new(big.Int).SetBytes(t.signature[size:])
		return ecdsa.Verify(k, digest, r, s)
	case *rsa.PublicKey:
		if strings.HasPrefix(string(alg), "PS") {
			return rsa.VerifyPSS(k, hash, digest, t.signature, nil) == nil
		}
		return rsa.VerifyPKCS1v15(k, hash, digest, t.signature) == nil
	default:
		return false
	}
}

// curveBytes is the length of a number below the order of the key's curve.
func curveBytes(key *ecdsa.PublicKey) int { return (key.Curve.Params().BitSize + 7) / 8 }

func encodeSegment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decodeSegment accepts what encodeSegment makes and nothing else: the decoder
// alone would skip line breaks.
func decodeSegment(s string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return b, err == nil && !strings.ContainsAny(s, "\r\n")
}
