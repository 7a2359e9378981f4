package ciba

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// TLSClientAuth authenticates with the certificate of [Config].Certificate,
// which the provider knows by its issuer and a name in it (RFC 8705 section
// 2.1).
func TLSClientAuth() Authenticator { return certificateAuth{"tls_client_auth"} }

// SelfSignedTLSClientAuth authenticates with the certificate of
// [Config].Certificate, which the provider knows from the client's key set (RFC
// 8705 section 2.2).
func SelfSignedTLSClientAuth() Authenticator {
	return certificateAuth{"self_signed_tls_client_auth"}
}

// certificateAuth names the client; the TLS handshake proves it.
type certificateAuth struct{ method string }

func (a certificateAuth) Method() string { return a.method }

func (certificateAuth) Authenticate(id Identity, form url.Values, _ http.Header) error {
	form.Set("client_id", id.ClientID)
	return nil
}

// A CertificateFunc returns the certificate that proves the client now. It is
// called before each request, possibly by several goroutines at once, so it
// should have the certificate at hand. When it returns another one than before,
// connections made with the old one are not used again.
//
// PrivateKey must be a [crypto.Signer] of the key in the first certificate of
// the chain; it may be in hardware. If the function fails the request is not
// sent, which counts as a passing failure ([ErrUnavailable]).
type CertificateFunc func() (*tls.Certificate, error)

// A certificateTransport presents the current certificate to servers that ask
// for one. A connection, and a TLS session that is resumed, prove the
// certificate that they began with, so each certificate has connections of its
// own.
type certificateTransport struct {
	source CertificateFunc
	base   *http.Transport // never used itself

	// mu guards what follows.
	mu      sync.Mutex
	leaf    []byte // of current
	expires time.Time
	current *http.Transport
}

// newCertificateTransport returns a transport that presents what source returns
// and is otherwise like rt, which must be an [http.Transport].
func newCertificateTransport(rt http.RoundTripper, source CertificateFunc) (*certificateTransport, error) {
	if rt == nil {
		rt = http.DefaultTransport
	}
	base, ok := rt.(*http.Transport)
	if !ok {
		return nil, fieldErrorf("Certificate", "cannot be presented by an HTTPClient with a Transport of type %T; want *http.Transport", rt)
	}
	//lint:ignore SA1019 deprecated is not gone: it would dial without the certificate
	if base.DialTLSContext != nil || base.DialTLS != nil {
		return nil, fieldErrorf("Certificate", "cannot be presented by an HTTPClient that dials TLS by itself")
	}
	return &certificateTransport{source: source, base: base}, nil
}

// RoundTrip implements [http.RoundTripper].
func (t *certificateTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	transport, err := t.pick()
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, &certificateError{err}
	}
	return transport.RoundTrip(r)
}

// CloseIdleConnections is what [http.Client] looks for.
func (t *certificateTransport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != nil {
		t.current.CloseIdleConnections()
	}
}

// pick returns the transport of the current certificate.
func (t *certificateTransport) pick() (*http.Transport, error) {
	cert, err := t.source()
	switch {
	case err != nil:
		return nil, err
	case cert == nil || len(cert.Certificate) == 0:
		return nil, errors.New("there is none")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == nil || !bytes.Equal(t.leaf, cert.Certificate[0]) {
		if err := t.rotate(cert); err != nil {
			return nil, err
		}
	}
	if time.Now().After(t.expires) {
		return nil, fmt.Errorf("expired on %s", t.expires.UTC().Format(time.RFC3339))
	}
	return t.current, nil
}

// rotate makes cert the current certificate. Requests on their way end on the
// old connections, which then close.
func (t *certificateTransport) rotate(cert *tls.Certificate) error {
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return err
	}
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return fmt.Errorf("private key of type %T is no crypto.Signer", cert.PrivateKey)
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(leaf.PublicKey) {
		return errors.New("private key is not the key of the certificate")
	}
	next := t.base.Clone()
	if next.TLSClientConfig == nil {
		next.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	// A server may list certification authorities that it prefers; the provider
	// was told to expect this certificate, so it is sent to all that ask.
	fixed := *cert
	next.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &fixed, nil
	}
	next.TLSClientConfig.ClientSessionCache = nil
	if t.current != nil {
		t.current.CloseIdleConnections()
	}
	t.leaf, t.expires, t.current = cert.Certificate[0], leaf.NotAfter, next
	return nil
}

// A certificateError is a request that was not sent for want of a certificate.
type certificateError struct{ err error }

func (e *certificateError) Error() string { return "client certificate: " + e.err.Error() }
func (e *certificateError) Unwrap() error { return e.err }
