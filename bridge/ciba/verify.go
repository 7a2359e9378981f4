package ciba

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// DefaultLeeway is the tolerated difference between two clocks.
const DefaultLeeway = 60 * time.Second

// maxSubject is the limit of OpenID Connect Core section 2.
const maxSubject = 255

// VerifyIDToken checks an ID token of the provider, as RequestToken does by
// itself. The error is an [*IDTokenError].
func (c *Client) VerifyIDToken(ctx context.Context, raw string, expect Expect) (*IDToken, error) {
	jws, err := parseCompact(raw)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(jws.header, c.algs)
	if err != nil {
		return nil, err
	}
	if err := c.verifySignature(ctx, &jws, h); err != nil {
		return nil, err
	}
	t, hashes, err := parseClaims(jws.payload)
	if err != nil {
		return nil, err
	}
	t.Raw, t.KeyID, t.Algorithm = raw, h.kid, string(h.alg)
	check := checker{
		now: time.Now(), leeway: c.leeway,
		issuer: c.issuer, client: c.identity.ClientID,
		expect: expect, token: t, hashes: hashes, tolerate: c.tolerate,
	}
	if err := check.all(); err != nil {
		return nil, err
	}
	return t, nil
}

// A joseHeader is the protected header of an ID token.
type joseHeader struct {
	alg jose.SignatureAlgorithm
	kid string
}

func refuse(check Check, format string, args ...any) error {
	return &IDTokenError{Check: check, Problem: fmt.Sprintf(format, args...)}
}

// parseHeader reads the header of a JWS (RFC 7515 section 4).
func parseHeader(data []byte, algs []jose.SignatureAlgorithm) (joseHeader, error) {
	o, err := parseObject(data)
	if err != nil {
		return joseHeader{}, refuse(CheckForm, "header is not one JSON object with unique members")
	}
	alg, err := o.text("alg", maxCode)
	if err != nil || !slices.Contains(algs, jose.SignatureAlgorithm(alg)) {
		return joseHeader{}, refuse(CheckAlg, "is %s, want one of %q", word(alg, signatureAlgs), algs)
	}
	typ, err := o.text("typ", maxCode)
	if err != nil || typ != "" && !strings.EqualFold(typ, "JWT") {
		return joseHeader{}, refuse(CheckTyp, "is %s, want %q", word(typ, tokenTyps), "JWT")
	}
	if _, ok := o["crit"]; ok {
		return joseHeader{}, refuse(CheckForm, "header has critical extensions")
	}
	kid, err := o.text("kid", maxURL)
	if err != nil {
		return joseHeader{}, refuse(CheckKey, "is not a string of at most %d bytes", maxURL)
	}
	return joseHeader{alg: jose.SignatureAlgorithm(alg), kid: kid}, nil
}

// What headers say that are not to be accepted. Both are read only.
var (
	signatureAlgs = []string{"none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA"}
	tokenTyps     = []string{"at+jwt", "logout+jwt", "JWE", "JOSE", "dpop+jwt", "secevent+jwt"}
)

// verifySignature holds the signature against the provider's keys. If no known
// key made it, the keys may be out of date and are fetched again, as often as
// their pause allows.
func (c *Client) verifySignature(ctx context.Context, jws *compactJWS, h joseHeader) error {
	keys, err := c.keys.get(ctx)
	if err != nil {
		return refuse(CheckKey, "cannot be looked up: %v", err)
	}
	failure := keys.verify(jws, h)
	if failure == nil {
		return nil
	}
	fresh, err := c.keys.newer(ctx, keys)
	if err != nil || fresh == keys {
		return failure
	}
	return fresh.verify(jws, h)
}

func (s *keySet) verify(jws *compactJWS, h joseHeader) error {
	candidates := s.candidates(h.kid, h.alg)
	if len(candidates) == 0 {
		return refuse(CheckKey, "names no %s key among the provider's %d", h.alg, len(s.keys))
	}
	for _, k := range candidates {
		if jws.signedBy(k.Key, h.alg) {
			return nil
		}
	}
	return refuse(CheckSignature, "was not made with the provider's key of that name")
}
