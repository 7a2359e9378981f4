package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
)

const (
	ownLifetime     = 7 * days         // of the certificate that the authority itself shows
	shutdownTimeout = 10 * time.Second // for calls that have begun
	maxBody         = 64 << 10         // bytes of a call; a request with a token is 2 kB
)

// Run serves the API over HTTPS on a listener of its own, until ctx ends: calls
// that have begun are then finished, for up to ten seconds, and Run returns nil.
// It returns an error only if the listener fails. Run closes the listener, and
// leaves the authority open.
func (a *Authority) Run(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           a.handler(),
		TLSConfig:         a.tlsConfig(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), // handshakes of strangers
		BaseContext:       func(net.Listener) context.Context { return a.baseContext() },
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(listener, "", "") }()
	a.log.Info("authority is serving", "address", listener.Addr().String(), "hosts", a.hosts, "fingerprint", a.RootFingerprint())
	select {
	case err := <-failed:
		return fmt.Errorf("serving the authority on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	// The context has ended, and the calls that have begun have a little longer.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		a.log.Warn("calls were cut off", "error", err)
		_ = server.Close()
	}
	<-failed
	return nil
}

// tlsConfig asks for a certificate, which a holder shows to renew it, and takes
// none, which a newcomer has.
func (a *Authority) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return a.tls.get(a)
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return nil
			}
			return a.verifyHolder(state.PeerCertificates, time.Now())
		},
	}
}

// verifyHolder verifies a certificate that is shown to be renewed or revoked.
// crypto/tls would refuse two kinds of them by itself: a broker's, which is for
// servers only, and one that has expired but may be renewed still. So the time
// is moved back to the end of the certificate, if its profile allows that, and
// everything else is as strict as ever.
func (a *Authority) verifyHolder(chain []*x509.Certificate, now time.Time) error {
	leaf := chain[0]
	id, err := mtls.IdentityOf(leaf)
	if err != nil {
		return err
	}
	if now.After(leaf.NotAfter) && now.Before(leaf.NotAfter.Add(a.profiles[id.Role].RenewExpired)) {
		now = leaf.NotAfter
	}
	use, _ := usage(id.Role)
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots:         a.Roots(),
		Intermediates: mtls.Pool(slices.Concat(chain[1:], []*x509.Certificate{a.intermediate})...),
		KeyUsages:     []x509.ExtKeyUsage{use},
		CurrentTime:   now,
	})
	return err
}

// ownCertificate is what the authority shows to its callers. It is made when
// somebody connects and two thirds of the last one's life are over, so that
// there is no timer to fail.
type ownCertificate struct {
	mu   sync.Mutex       // guards cert; held while one is made
	cert *tls.Certificate // nil before the first connection
}

func (o *ownCertificate) get(a *Authority) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cert != nil {
		life := o.cert.Leaf.NotAfter.Sub(o.cert.Leaf.NotBefore)
		if time.Now().Before(o.cert.Leaf.NotBefore.Add(life * 2 / 3)) {
			return o.cert, nil
		}
	}
	cert, err := a.makeOwnCertificate()
	if err != nil {
		a.log.Error("cannot make the authority's own certificate", "error", err)
		if o.cert == nil {
			return nil, err
		}
		return o.cert, nil
	}
	o.cert = cert
	return cert, nil
}

// makeOwnCertificate signs a server certificate for the authority's hosts. It is
// not in the database: it cannot be renewed, and dies with the process.
func (a *Authority) makeOwnCertificate() (*tls.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c := leaf(mtls.Identity{Role: mtls.RoleServer, ID: "authority"}, a.hosts, key.Public())
	c.NotBefore, c.NotAfter = now.Add(-authorityBackdate), now.Add(ownLifetime)
	if c.NotAfter.After(a.intermediate.NotAfter) {
		return nil, errors.New("the intermediate is about to expire")
	}
	cert, err := a.sign(c)
	if err != nil {
		return nil, err
	}
	return mtls.Bundle(key, []*x509.Certificate{cert, a.intermediate})
}
