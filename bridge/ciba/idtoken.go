package ciba

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// An IDToken is a verified ID token. Printing it shows none of it.
type IDToken struct {
	// Raw is the compact JWS as it was received, for later proof.
	Raw string
	// Issuer, Subject and Audience are iss, sub and aud.
	Issuer   string
	Subject  string
	Audience []string
	// AuthorizedParty is azp; "" if absent.
	AuthorizedParty string
	// Expiry and IssuedAt are exp and iat.
	Expiry, IssuedAt time.Time
	// AuthTime is auth_time; zero if absent.
	AuthTime time.Time
	// ACR and AMR are acr and amr; empty if absent.
	ACR string
	AMR []string
	// KeyID and Algorithm are kid and alg of the signature.
	KeyID, Algorithm string
	// Claims are all claims, as one JSON object.
	Claims json.RawMessage
}

// Expect is what a caller demands of an ID token beyond what every ID token of
// this client must fulfil. The zero value demands nothing more.
type Expect struct {
	// Subject is the person: sub must equal it. "" accepts anybody that the
	// provider authenticated, which a hint does not restrict.
	Subject string
	// ACRValues are the acceptable values of acr; empty accepts any and none.
	ACRValues []string
	// RequestedAt is when the authentication was requested: auth_time, if
	// present, must not be earlier. Zero does not look at auth_time.
	RequestedAt time.Time
	// RequireAuthTime refuses a token without auth_time.
	RequireAuthTime bool
	// AuthReqID, if set, must equal the auth_req_id claim where there is one.
	AuthReqID string
	// AccessToken and RefreshToken, if set, must match at_hash and rt_hash where
	// these are present.
	AccessToken  string
	RefreshToken string
	// Push demands at_hash, the auth_req_id claim and, with a refresh token,
	// rt_hash, as push delivery does (CIBA Core section 10.3.1).
	Push bool
}

// DefaultLeeway is the tolerated difference between two clocks.
const DefaultLeeway = 60 * time.Second

// maxSubject is the limit of OpenID Connect Core section 2.
const maxSubject = 255

// VerifyIDToken checks an ID token of the provider, as RequestToken does by
// itself. The error is an [*IDTokenError].
func (c *Client) VerifyIDToken(ctx context.Context, raw string, expect Expect) (*IDToken, error) {
	h, err := parseHeader(raw, c.algs)
	if err != nil {
		return nil, err
	}
	payload, err := c.verifySignature(ctx, raw, h)
	if err != nil {
		return nil, err
	}
	t, hashes, err := parseClaims(payload)
	if err != nil {
		return nil, err
	}
	t.Raw, t.KeyID, t.Algorithm = raw, h.kid, string(h.alg)
	check := checker{
		now: time.Now(), leeway: c.leeway,
		issuer: c.issuer, client: c.identity.ClientID,
		expect: expect, token: t, hashes: hashes,
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

// parseHeader reads the header of a compact JWS (RFC 7515 section 7.1).
func parseHeader(raw string, algs []jose.SignatureAlgorithm) (joseHeader, error) {
	if raw == "" || len(raw) > maxToken {
		return joseHeader{}, refuse(CheckPresent, "has %d bytes, want 1 to %d", len(raw), maxToken)
	}
	first, _, ok := strings.Cut(raw, ".")
	if !ok || strings.Count(raw, ".") != 2 {
		return joseHeader{}, refuse(CheckForm, "has %d parts, want 3: an encrypted or unsigned token is not accepted", strings.Count(raw, ".")+1)
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil {
		return joseHeader{}, refuse(CheckForm, "header is not base64url")
	}
	o, err := parseObject(data)
	if err != nil {
		return joseHeader{}, refuse(CheckForm, "header is not one JSON object with unique members")
	}
	alg, err := o.text("alg", maxCode)
	if err != nil || !slices.Contains(algs, jose.SignatureAlgorithm(alg)) {
		return joseHeader{}, refuse(CheckAlg, "%q is not one of %q", printable(alg, maxCode), algs)
	}
	typ, err := o.text("typ", maxCode)
	if err != nil || typ != "" && !strings.EqualFold(typ, "JWT") {
		return joseHeader{}, refuse(CheckTyp, "%q is not %q", printable(typ, maxCode), "JWT")
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

// verifySignature returns the payload. If no known key made the signature, the
// keys may be out of date and are fetched again, as often as their pause allows.
func (c *Client) verifySignature(ctx context.Context, raw string, h joseHeader) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{h.alg})
	if err != nil {
		return nil, refuse(CheckForm, "is not a compact JWS")
	}
	keys, err := c.keys.get(ctx)
	if err != nil {
		return nil, refuse(CheckKey, "cannot be looked up: %v", err)
	}
	payload, failure := keys.verify(jws, h)
	if failure == nil {
		return payload, nil
	}
	fresh, err := c.keys.newer(ctx, keys)
	if err != nil || fresh == keys {
		return nil, failure
	}
	return fresh.verify(jws, h)
}

func (s *keySet) verify(jws *jose.JSONWebSignature, h joseHeader) ([]byte, error) {
	candidates := s.candidates(h.kid, h.alg)
	if len(candidates) == 0 {
		return nil, refuse(CheckKey, "%q names no %s key among the provider's %d", printable(h.kid, maxCode), h.alg, len(s.keys))
	}
	for _, k := range candidates {
		if payload, err := jws.Verify(k.Key); err == nil {
			return payload, nil
		}
	}
	return nil, refuse(CheckSignature, "was not made with the provider's key %q", printable(h.kid, maxCode))
}

// claimHashes are the claims that tie an ID token to its answer.
type claimHashes struct {
	atHash, rtHash, authReqID string
	notBefore                 time.Time
}

// parseClaims reads the claims and refuses those of a wrong type.
func parseClaims(payload []byte) (*IDToken, *claimHashes, error) {
	o, err := parseObject(payload)
	if err != nil {
		return nil, nil, refuse(CheckForm, "claims are not one JSON object with unique members")
	}
	r := claimReader{object: o}
	t := &IDToken{
		Issuer:          r.text(CheckIssuer),
		Subject:         r.text(CheckSubject),
		Audience:        r.audience(),
		AuthorizedParty: r.text(CheckParty),
		Expiry:          r.date(CheckExpiry),
		IssuedAt:        r.date(CheckIssuedAt),
		AuthTime:        r.date(CheckAuthTime),
		ACR:             r.text(CheckACR),
		AMR:             r.strings("amr"),
		Claims:          json.RawMessage(payload),
	}
	h := &claimHashes{
		notBefore: r.date(CheckNotBefore),
		atHash:    r.text(CheckAtHash),
		rtHash:    r.text(CheckRtHash),
		authReqID: r.text(CheckAuthReqID),
	}
	if r.err != nil {
		return nil, nil, r.err
	}
	return t, h, nil
}

// A claimReader reads many claims and keeps the first error.
type claimReader struct {
	object
	err error
}

func (r *claimReader) text(c Check) string {
	s, err := r.object.text(string(c), maxToken)
	if err != nil {
		r.keep(refuse(c, "is not a string"))
	}
	return s
}

func (r *claimReader) date(c Check) time.Time {
	t, _, err := r.object.date(string(c))
	if err != nil {
		r.keep(refuse(c, "%v", err))
	}
	return t
}

func (r *claimReader) strings(c Check) []string {
	list, err := r.object.strings(string(c))
	if err != nil {
		r.keep(refuse(c, "is not an array of strings"))
	}
	return list
}

// audience reads aud, which is a string or an array of strings.
func (r *claimReader) audience() []string {
	if raw := r.object[string(CheckAudience)]; len(raw) > 0 && raw[0] == '"' {
		return []string{r.text(CheckAudience)}
	}
	return r.strings(CheckAudience)
}

func (r *claimReader) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}
