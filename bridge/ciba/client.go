package ciba

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"net/http"
	"time"
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
	// HTTPClient carries all requests; nil means NewHTTPClient(nil). Redirects are
	// never followed and no cookies are kept, whatever it says. Its Timeout must
	// be 0 or at least MinTimeout, as a provider may hold a token request for
	// LongPoll.
	HTTPClient *http.Client
	// IDTokenAlgs are the accepted signature algorithms of ID tokens, such as
	// "PS256"; nil accepts every asymmetric one of RFC 7518 and RFC 8037.
	IDTokenAlgs []string
	// Leeway is the tolerated difference between the provider's clock and this
	// one; 0 means DefaultLeeway, negative means none.
	Leeway time.Duration
	// InsecureAllowHTTP permits http instead of https for endpoints on a loopback
	// address. For tests and demonstrations only.
	InsecureAllowHTTP bool
}

// A Client speaks to one provider as one client. It is safe for concurrent use,
// starts no goroutine of its own and needs no Close.
type Client struct {
	cfg Config
}

// New returns a client. It checks cfg and sends nothing: a provider that is down
// is discovered later. Errors are of type [*FieldError].
func New(cfg Config) (*Client, error) { return &Client{cfg: cfg}, errors.ErrUnsupported }

// Metadata returns what is known about the provider, discovering it if need be.
func (c *Client) Metadata(ctx context.Context) (*Metadata, error) {
	return nil, errors.ErrUnsupported
}

// Discover fetches the metadata of issuer through hc, which may be nil
// (OpenID Connect Discovery 1.0 section 4).
func Discover(ctx context.Context, hc *http.Client, issuer string) (*Metadata, error) {
	return nil, errors.ErrUnsupported
}

// RequestAuthentication asks the provider to ring the person's phone. A request
// that breaks a rule of this package is a [*FieldError] and is not sent.
//
// An error that is [ErrInterrupted] means that the phone may be ringing.
func (c *Client) RequestAuthentication(ctx context.Context, req AuthenticationRequest) (Acknowledgement, error) {
	return Acknowledgement{}, errors.ErrUnsupported
}

// RequestToken asks once whether the person has decided, and returns the tokens
// if they agreed. It may take LongPoll. Give the error to [Poll.After], which
// says what it means.
func (c *Client) RequestToken(ctx context.Context, req TokenRequest) (*Tokens, error) {
	return nil, errors.ErrUnsupported
}

// VerifyIDToken checks an ID token of the provider, as RequestToken does by
// itself. The error is an [*IDTokenError].
func (c *Client) VerifyIDToken(ctx context.Context, raw string, expect Expect) (*IDToken, error) {
	return nil, errors.ErrUnsupported
}

// Wait asks again and again, as [Poll] permits, until the person has decided,
// ack has expired or ctx is done.
func (c *Client) Wait(ctx context.Context, ack Acknowledgement, expect Expect) (*Tokens, error) {
	return nil, errors.ErrUnsupported
}

// NewHTTPClient returns a client fit for [Config.HTTPClient].
//
// tlsConfig may be nil; a client certificate for tls_client_auth goes there.
func NewHTTPClient(tlsConfig *tls.Config) *http.Client { return nil }

// NewBindingMessage returns a short message such as "4K7-P2X" for
// [AuthenticationRequest.BindingMessage], which every known provider accepts.
func NewBindingMessage() string { return "" }

// ClientSecretBasic authenticates with a secret in the Authorization header.
func ClientSecretBasic(secret string) Authenticator { return nil }

// ClientSecretPost authenticates with a secret in the form.
func ClientSecretPost(secret string) Authenticator { return nil }

// A PrivateKey signs client assertions.
type PrivateKey struct {
	// Signer is an RSA (2048 bits or more), ECDSA (P-256, P-384, P-521) or Ed25519
	// key, in memory or in hardware.
	Signer crypto.Signer
	// KeyID is the kid under which the provider knows the public key; "" for none.
	KeyID string
	// Algorithm is the JWS algorithm; "" means PS256, ES256, ES384, ES512 or
	// EdDSA, whichever the key is for.
	Algorithm string
}

// PrivateKeyJWT authenticates with a signed assertion (RFC 7523 section 3).
func PrivateKeyJWT(key PrivateKey) (Authenticator, error) { return nil, errors.ErrUnsupported }
