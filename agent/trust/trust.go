// Package trust decides whose signature counts as the bridge's.
//
// A bridge introduces itself with a welcome that bears its certificate chain,
// and names the other bridges that share its work. [Open] verifies all of it
// against the fleet's roots; the [Bridges] that result verify every further
// message, which names its signer by key id alone.
package trust

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// ErrUnknownKey means that the message claims to be signed with a key that no
// welcome has introduced, or whose certificate has expired since.
var ErrUnknownKey = errors.New("signed with a key that no welcome has introduced")

// Bridges are the bridges that one welcome introduced. They never change. A
// nil *Bridges knows nobody.
type Bridges struct {
	Name    schemas.WelcomeID // of the welcome
	Sealing schemas.PublicKey // to seal hints to
	Raw     []byte            // the welcome as it arrived, to be stored

	known map[schemas.KeyID]bridge
}

type bridge struct {
	cert  *x509.Certificate
	until time.Time // when the first certificate of its chain expires
}

// Open verifies a welcome that bears a chain. Roots are the fleet's; now judges
// whether a certificate has expired, and that one is not valid yet is never
// held against it. Peers that cannot be verified are logged and left out.
func Open(env *schemas.Envelope, raw []byte, roots *x509.CertPool, now time.Time, log *slog.Logger) (*Bridges, *schemas.Welcome, error) {
	if len(env.Chain) == 0 {
		return nil, nil, errors.New("welcome bears no certificate chain")
	}
	leaf := env.Chain[0]
	verified, err := verify(leaf, env.Chain[1:], roots, now)
	if err != nil {
		return nil, nil, fmt.Errorf("welcome: %w", err)
	}
	m, err := env.Verify(leaf)
	if err != nil {
		return nil, nil, fmt.Errorf("welcome: %w", err)
	}
	w, ok := m.(*schemas.Welcome)
	if !ok || w.Sealing == nil {
		return nil, nil, fmt.Errorf("a %v introduces nobody", m.Kind())
	}
	b := &Bridges{Name: w.Name, Sealing: *w.Sealing, Raw: raw, known: map[schemas.KeyID]bridge{}}
	b.add(leaf, verified)
	issuer := verified[1]
	for i, der := range w.Peers {
		if err := b.addPeer(der, issuer, env.Chain[1:], roots, now); err != nil {
			log.Warn("a peer of the bridge is left out", "peer", i, "error", err)
		}
	}
	return b, w, nil
}

func (b *Bridges) addPeer(der []byte, issuer *x509.Certificate, others []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	if !bytes.Equal(cert.RawIssuer, issuer.RawSubject) || cert.CheckSignatureFrom(issuer) != nil {
		return errors.New("not issued by the bridge's issuer")
	}
	verified, err := verify(cert, others, roots, now)
	if err != nil {
		return err
	}
	b.add(cert, verified)
	return nil
}

func (b *Bridges) add(leaf *x509.Certificate, chain []*x509.Certificate) {
	until := leaf.NotAfter
	for _, c := range chain[1:] {
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	b.known[schemas.KeyIDOf(leaf)] = bridge{leaf, until}
}

// verify returns a chain from the leaf to a root, at least two long.
func verify(leaf *x509.Certificate, others []*x509.Certificate, roots *x509.CertPool, now time.Time) ([]*x509.Certificate, error) {
	id, err := mtls.IdentityOf(leaf)
	if err != nil {
		return nil, err
	}
	if id.Role != mtls.RoleBridge {
		return nil, fmt.Errorf("%s has the role %q, want %q", id, id.Role, mtls.RoleBridge)
	}
	if _, err := schemas.NewConfirmKey(leaf.PublicKey); err != nil { // P-256 or Ed25519
		return nil, fmt.Errorf("key of %s: %w", id, err)
	}
	if err := mtls.CheckClientUsage(leaf); err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: mtls.Pool(others...),
		CurrentTime:   mtls.Floor(now, append(others, leaf)...),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", id, err)
	}
	if len(chains[0]) < 2 {
		return nil, fmt.Errorf("certificate of %s is itself a root", id)
	}
	return chains[0], nil
}

// Verify returns the message in env if a known bridge has signed it, and the
// certificate it signed with. The error is an ErrUnknownKey if a hello may
// help.
func (b *Bridges) Verify(env *schemas.Envelope, now time.Time) (schemas.Message, *x509.Certificate, error) {
	if b == nil {
		return nil, nil, ErrUnknownKey
	}
	k, ok := b.known[env.KeyID]
	if !ok || now.After(k.until) {
		return nil, nil, fmt.Errorf("%w: %v", ErrUnknownKey, env.KeyID)
	}
	m, err := env.Verify(k.cert)
	if err != nil {
		return nil, nil, err
	}
	return m, k.cert, nil
}
