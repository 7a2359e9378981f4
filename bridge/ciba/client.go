package ciba

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/go-jose/go-jose/v4"
)

// Config says which provider to use, and as whom.
type Config struct {
	// Issuer is the provider's issuer identifier, exactly as its ID tokens say
	// it, trailing slash included. Required unless Metadata is set.
	Issuer string
	// Metadata describes a provider without discovery; nil means that the client
	// discovers it from Issuer when it first needs it, and again from time to
	// time. If both are set, Metadata.Issuer must equal Issuer.
	Metadata *Metadata
	// ClientID is the client's name at the provider. Required.
	ClientID string
	// Auth proves it. Required.
	Auth Authenticator
	// Delivery is the mode that the client is registered for; "" means
	// DeliveryPoll.
	Delivery DeliveryMode
	// RequestSigning signs authentication requests; nil leaves them unsigned.
	RequestSigning *RequestSigning
	// HTTPClient carries all requests; nil means NewHTTPClient(nil). Redirects are
	// never followed and no cookies are kept, whatever it says. Its Timeout must
	// be 0 or at least MinTimeout, as a provider may hold a token request for
	// LongPoll. What a server sends unasked net/http writes, with what is in it, to
	// the standard logger of package log.
	HTTPClient *http.Client
	// IDTokenAlgs are the accepted signature algorithms of ID tokens, such as
	// "PS256"; nil accepts every asymmetric one of RFC 7518, and EdDSA, or those of
	// FAPI-CIBA if Profile.FAPI is set.
	IDTokenAlgs []string
	// Profile says in what the provider differs from CIBA Core 1.0; see package
	// profile for those that are known. The zero Profile differs in nothing.
	Profile profile.Profile
	// Tolerate are the provider's defects to put up with; nil for none.
	Tolerate []Tolerance
	// Leeway is the tolerated difference between the provider's clock and this
	// one; 0 means DefaultLeeway, negative means none.
	Leeway time.Duration
	// Certificate returns the client certificate for servers that ask for one: it
	// proves the client with TLSClientAuth and SelfSignedTLSClientAuth, and binds
	// access tokens to it (RFC 8705 section 3) with any other method. If it is set,
	// HTTPClient must use an *http.Transport, of which the client uses a copy. nil
	// means that the transport of HTTPClient has a certificate of its own, or that
	// there is none.
	Certificate CertificateFunc
	// InsecureAllowHTTP permits http instead of https for endpoints on a loopback
	// address. For tests and demonstrations only.
	InsecureAllowHTTP bool
}

// A Client speaks to one provider as one client. It is safe for concurrent use,
// starts no goroutine of its own and needs no Close.
type Client struct {
	issuer     string
	identity   Identity
	auth       Authenticator
	signer     *requestSigner // nil if requests are not signed
	delivery   DeliveryMode
	mutualTLS  bool
	http       *http.Client
	algs       []jose.SignatureAlgorithm
	profile    profile.Profile
	tolerate   []Tolerance
	leeway     time.Duration
	allowHTTP  bool
	static     *Metadata // nil if discovered
	discovered lazy[*Metadata]
	keys       lazy[*keySet]
}

// New returns a client. It checks cfg and sends nothing: a provider that is down
// is discovered later. Errors are of type [*FieldError].
func New(cfg Config) (*Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	hc, err := privateHTTPClient(cfg.HTTPClient, cfg.Certificate)
	if err != nil {
		return nil, err
	}
	signer, err := newRequestSigner(cfg.RequestSigning, cfg.Profile.Parameters.ClientIDTwice)
	if err != nil {
		return nil, err
	}
	c := &Client{
		issuer:    cfg.Issuer,
		identity:  Identity{ClientID: cfg.ClientID, Issuer: cfg.Issuer},
		auth:      cfg.Auth,
		signer:    signer,
		delivery:  cfg.delivery(),
		mutualTLS: cfg.Certificate != nil || mutualTLS(cfg.Auth.Method()),
		http:      hc,
		algs:      cfg.idTokenAlgs(),
		profile:   cfg.profile(),
		tolerate:  slices.Clone(cfg.Tolerate),
		leeway:    max(cfg.Leeway, 0),
		allowHTTP: cfg.InsecureAllowHTTP,
		static:    cfg.Metadata,
	}
	if c.issuer == "" {
		c.issuer, c.identity.Issuer = cfg.Metadata.Issuer, cfg.Metadata.Issuer
	}
	if cfg.Leeway == 0 {
		c.leeway = DefaultLeeway
	}
	c.discovered = lazy[*Metadata]{endpoint: endpointDiscovery, fetch: c.discover, maxAge: metadataMaxAge, pause: metadataPause}
	c.keys = lazy[*keySet]{endpoint: endpointKeys, fetch: c.fetchKeys, maxAge: keysMaxAge, pause: keysPause}
	return c, nil
}

func (cfg *Config) delivery() DeliveryMode { return cmp.Or(cfg.Delivery, DeliveryPoll) }

// idTokenAlgs returns the accepted algorithms of ID tokens.
func (cfg *Config) idTokenAlgs() []jose.SignatureAlgorithm {
	switch {
	case len(cfg.IDTokenAlgs) == 0 && cfg.Profile.FAPI:
		return requestAlgs
	case len(cfg.IDTokenAlgs) == 0:
		return asymmetricAlgs
	}
	var algs []jose.SignatureAlgorithm
	for _, alg := range cfg.IDTokenAlgs {
		algs = append(algs, jose.SignatureAlgorithm(alg))
	}
	return algs
}

func (cfg *Config) validate() error {
	switch {
	case cfg.Metadata != nil && cfg.Issuer != "" && cfg.Metadata.Issuer != cfg.Issuer:
		return fieldErrorf("Metadata", "is of issuer %q, but Issuer is %q", cfg.Metadata.Issuer, cfg.Issuer)
	case !isVisible(cfg.ClientID) || len(cfg.ClientID) > maxURL:
		return fieldErrorf("ClientID", "is empty, has more than %d bytes, or other characters than visible ASCII", maxURL)
	case cfg.Auth == nil:
		return fieldErrorf("Auth", "is missing")
	case cfg.HTTPClient == nil && cfg.Certificate == nil && mutualTLS(cfg.Auth.Method()):
		return fieldErrorf("Certificate", "is missing, but %s needs one", cfg.Auth.Method())
	case cfg.HTTPClient != nil && cfg.HTTPClient.Timeout != 0 && cfg.HTTPClient.Timeout < MinTimeout:
		return fieldErrorf("HTTPClient", "has a Timeout of %v, but a token request may take %v: want 0 or at least %v", cfg.HTTPClient.Timeout, LongPoll, MinTimeout)
	case !slices.Contains([]DeliveryMode{"", DeliveryPoll, DeliveryPing, DeliveryPush}, cfg.Delivery):
		return fieldErrorf("Delivery", "%q is not one of %q", cfg.Delivery, []DeliveryMode{DeliveryPoll, DeliveryPing, DeliveryPush})
	case cfg.Leeway > maxLeeway:
		return fieldErrorf("Leeway", "is %v, at most %v is allowed", cfg.Leeway, maxLeeway)
	}
	for _, alg := range cfg.IDTokenAlgs {
		if !slices.Contains(asymmetricAlgs, jose.SignatureAlgorithm(alg)) {
			return fieldErrorf("IDTokenAlgs", "%q is not one of %q", alg, asymmetricAlgs)
		}
	}
	if v, ok := cfg.Auth.(interface{ validate() error }); ok {
		if err := v.validate(); err != nil {
			return err
		}
	}
	for _, check := range []func() error{cfg.validateTolerate, cfg.validateProfile, cfg.validateProvider} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (cfg *Config) validateProvider() error {
	if cfg.Metadata != nil {
		if err := cfg.Metadata.validate(cfg.InsecureAllowHTTP); err != nil {
			return fieldErrorf("Metadata", "%v", err)
		}
		return nil
	}
	if err := checkIssuer(cfg.Issuer, cfg.InsecureAllowHTTP); err != nil {
		return fieldErrorf("Issuer", "%q %v", cfg.Issuer, err)
	}
	return nil
}

const maxLeeway = 10 * time.Minute

// privateHTTPClient returns a copy of hc that follows no redirect and presents
// the certificate, if there is one. Each request has a time-out of its own, so
// one that is no shorter is not set up twice.
func privateHTTPClient(hc *http.Client, certificate CertificateFunc) (*http.Client, error) {
	if hc == nil {
		hc = NewHTTPClient(nil)
	}
	private := *hc
	private.CheckRedirect = noRedirect
	private.Jar = nil
	if private.Timeout >= tokenTimeout {
		private.Timeout = 0
	}
	if certificate == nil {
		return &private, nil
	}
	transport, err := newCertificateTransport(hc.Transport, certificate)
	if err != nil {
		return nil, err
	}
	private.Transport = transport
	return &private, nil
}
