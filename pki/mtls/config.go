package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// CertificateFunc returns the certificate to show. It is called at every
// handshake, concurrently, so it decides when a renewed one is taken up.
type CertificateFunc func() (*tls.Certificate, error)

// Fixed returns a CertificateFunc that always returns cert.
func Fixed(cert *tls.Certificate) CertificateFunc {
	return func() (*tls.Certificate, error) { return cert, nil }
}

// ClientConfig returns a configuration for TLS 1.3 connections to serverName,
// which is a DNS name or an IP address of the server's certificate.
//
// Nil roots trust nobody; the roots of the operating system are never used. A
// nil cert shows none, which only the authority's enrolment accepts. Sessions
// are not resumed: a resumed session would go on showing the certificate of the
// first one after a renewal.
//
// The certificate of the server is not asked for its role; see [RequireRole].
func ClientConfig(roots *x509.CertPool, cert CertificateFunc, serverName string) *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    orNobody(roots),
		ServerName: serverName,
	}
	if cert != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return call(cert)
		}
	}
	return cfg
}

// ServerConfig returns a configuration that accepts TLS 1.3 connections from
// clients with a certificate for client authentication under roots.
//
// Revoked is asked for the client's leaf certificate at every handshake; nil
// asks nobody. It does not end the connections that were made before a
// revocation: the owner of the connections does that, see
// [RevocationConfig.OnChange]. Session tickets are off, so that neither a
// revocation nor an expiry nor a renewal is outlived by a resumed session.
func ServerConfig(roots *x509.CertPool, cert CertificateFunc, revoked func(*x509.Certificate) bool) *tls.Config {
	cfg := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              orNobody(roots),
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return call(cert) },
	}
	if revoked != nil {
		cfg.VerifyConnection = func(state tls.ConnectionState) error {
			if leaf := state.PeerCertificates[0]; revoked(leaf) {
				return fmt.Errorf("certificate %x of %q has been revoked", leaf.SerialNumber, clip(leaf.Subject.String()))
			}
			return nil
		}
	}
	return cfg
}

// RequireRole returns a copy of cfg that ends the handshake unless the peer's
// certificate carries an identity with one of roles. It works for client and
// server configurations; one role's certificate is then worth nothing in
// another's place, whatever its key usage.
func RequireRole(cfg *tls.Config, roles ...Role) *tls.Config {
	return verifyAlso(cfg, func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the peer has shown no certificate")
		}
		id, err := IdentityOf(state.PeerCertificates[0])
		if err != nil {
			return err
		}
		if !slices.Contains(roles, id.Role) {
			return fmt.Errorf("peer %s has the role %q, want %q", id, id.Role, roles)
		}
		return nil
	})
}

// TolerateClock returns a copy of the client configuration cfg for a machine
// whose clock cannot be trusted, such as a vehicle without a battery-backed
// clock that wakes up in 1970. Now is the best guess at the time, at least the
// NotBefore of the machine's own certificate (see [Floor]); nil means
// [time.Now].
//
// Everything is verified as usual but one thing: the server's chain is judged
// at now or at the moment when its last certificate became valid, whichever is
// later. So a certificate is never refused as "not yet valid", which a server
// must have obtained from the future to exploit, and is still refused as
// expired when now says so.
//
// Cfg should have its ServerName: one that is filled in later, by a dialer, is
// known here only if it is a DNS name, and a handshake without one fails.
func TolerateClock(cfg *tls.Config, now func() time.Time) *tls.Config {
	if now == nil {
		now = time.Now
	}
	serverName, roots := cfg.ServerName, cfg.RootCAs
	cfg = verifyFirst(cfg, func(state tls.ConnectionState) error {
		name := serverName
		if name == "" {
			name = state.ServerName // what a dialer has filled in, unless it is an address
		}
		return verifyServer(state.PeerCertificates, name, roots, now())
	})
	// Not a dropped check: verifyServer makes the same ones, with another time.
	// crypto/tls has no hook that sees the chain before it asks for the time.
	cfg.InsecureSkipVerify = true
	return cfg
}

func verifyServer(chain []*x509.Certificate, serverName string, roots *x509.CertPool, at time.Time) error {
	if serverName == "" {
		return errors.New("no server name to verify: set ServerName before mtls.TolerateClock")
	}
	if roots == nil || len(chain) == 0 {
		return errors.New("no roots or no server certificate to verify")
	}
	opts := x509.VerifyOptions{
		Roots:         roots,
		DNSName:       serverName,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	opts.CurrentTime = Floor(at, chain...)
	_, err := chain[0].Verify(opts)
	return err
}

// Floor returns now, or the latest NotBefore among certs if that is later: the
// time cannot be earlier than the day a certificate one already holds was
// issued.
func Floor(now time.Time, certs ...*x509.Certificate) time.Time {
	for _, c := range certs {
		if now.Before(c.NotBefore) {
			now = c.NotBefore
		}
	}
	return now
}

// verifyAlso and verifyFirst return a copy of cfg whose VerifyConnection runs
// check after, or before, the one that is there.
func verifyAlso(cfg *tls.Config, check func(tls.ConnectionState) error) *tls.Config {
	cfg = cfg.Clone()
	cfg.VerifyConnection = both(cfg.VerifyConnection, check)
	return cfg
}

func verifyFirst(cfg *tls.Config, check func(tls.ConnectionState) error) *tls.Config {
	cfg = cfg.Clone()
	cfg.VerifyConnection = both(check, cfg.VerifyConnection)
	return cfg
}

func both(first, second func(tls.ConnectionState) error) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		for _, check := range []func(tls.ConnectionState) error{first, second} {
			if check == nil {
				continue
			}
			if err := check(state); err != nil {
				return err
			}
		}
		return nil
	}
}

// call turns "no certificate" into an error: crypto/tls would go on without
// one, and the other end could not say why it refused.
func call(cert CertificateFunc) (*tls.Certificate, error) {
	if cert == nil {
		return nil, errors.New("no certificate is configured")
	}
	c, err := cert()
	if err != nil {
		return nil, fmt.Errorf("no certificate to show: %w", err)
	}
	if c == nil || len(c.Certificate) == 0 {
		return nil, errors.New("no certificate to show: there is none yet")
	}
	return c, nil
}

func orNobody(pool *x509.CertPool) *x509.CertPool {
	if pool == nil {
		return x509.NewCertPool()
	}
	return pool
}
