package ciba

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Lifetimes of a signed authentication request. FAPI-CIBA section 5.2.2 allows
// 60 minutes between nbf and exp.
const (
	DefaultRequestLife = 5 * time.Minute
	MaxRequestLife     = 59 * time.Minute

	// requestBackdate puts nbf a little into the past, for providers whose clock is
	// behind and who forgive nothing.
	requestBackdate = 10 * time.Second
)

// RequestSigning makes authentication requests tamper-proof: all parameters are
// sent as claims of a JWT (CIBA Core section 7.1.1), and outside it nothing but
// the client's authentication. Its audience is the issuer alone; jti is new in
// each request. The provider's metadata must list the algorithm.
type RequestSigning struct {
	// Key signs. It must have a KeyID, by which the provider finds it in the
	// client's key set, and be an RSA key (PS256) or on P-256 (ES256).
	Key PrivateKey
	// Lifetime is how long after signing the request is good; 0 means
	// DefaultRequestLife, more than MaxRequestLife is refused.
	Lifetime time.Duration
}

// requestAlgs are those that FAPI-CIBA section 5.2.2 allows. It is read only.
var requestAlgs = []jose.SignatureAlgorithm{jose.PS256, jose.ES256}

// A requestSigner is a RequestSigning that was checked.
type requestSigner struct {
	signer jose.Signer
	alg    jose.SignatureAlgorithm
	life   time.Duration
	twice  bool // put the client_id into the JWT and beside it, as some want it
}

func newRequestSigner(cfg *RequestSigning, twice bool) (*requestSigner, error) {
	if cfg == nil {
		return nil, nil
	}
	signer, err := newSigner(cfg.Key)
	if err != nil {
		return nil, err
	}
	alg := jose.SignatureAlgorithm(cfg.Key.Algorithm)
	if alg == "" {
		alg = algsFor(cfg.Key.Signer.Public())[0]
	}
	switch {
	case !slices.Contains(requestAlgs, alg):
		return nil, fieldErrorf("RequestSigning", "uses algorithm %q, want one of %q", alg, requestAlgs)
	case cfg.Key.KeyID == "":
		return nil, fieldErrorf("RequestSigning", "has a key without a KeyID")
	case cfg.Lifetime < 0 || cfg.Lifetime > MaxRequestLife || cfg.Lifetime%time.Second != 0:
		return nil, fieldErrorf("RequestSigning", "has a Lifetime of %v, want whole seconds up to %v, or 0 for %v", cfg.Lifetime, MaxRequestLife, DefaultRequestLife)
	}
	life := cfg.Lifetime
	if life == 0 {
		life = DefaultRequestLife
	}
	return &requestSigner{signer: signer, alg: alg, life: life, twice: twice}, nil
}

// check holds the algorithm against those that the provider supports.
func (s *requestSigner) check(m *Metadata) error {
	switch {
	case m.BackchannelRequestSigningAlgs == nil:
		return fieldErrorf("RequestSigning", "is set, but the provider does not support signed authentication requests")
	case !slices.Contains(m.BackchannelRequestSigningAlgs, string(s.alg)):
		return fieldErrorf("RequestSigning", "uses algorithm %q, but the provider supports %s", s.alg, some(m.BackchannelRequestSigningAlgs))
	}
	return nil
}

// form returns the parameter that carries all others.
func (s *requestSigner) form(id Identity, p parameters) (url.Values, error) {
	now := time.Now()
	claims := p.claims()
	claims["iss"], claims["aud"], claims["jti"] = id.ClientID, id.Issuer, rand.Text()
	claims["iat"] = now.Unix()
	claims["nbf"] = now.Add(-requestBackdate).Unix()
	claims["exp"] = now.Add(s.life).Unix()
	form := url.Values{}
	if s.twice {
		claims["client_id"] = id.ClientID
		form.Set("client_id", id.ClientID)
	}
	jwt, err := sign(s.signer, claims)
	if err != nil {
		return nil, &transportError{endpoint: endpointAuthenticate, unsent: true, err: fmt.Errorf("signing the request: %w", err)}
	}
	form.Set("request", jwt)
	return form, nil
}
