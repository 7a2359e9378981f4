package bridge

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// senders knows the certificates of devices: those in the store, and the ones
// used lately in memory.
type senders struct {
	store   *store.Store
	roots   *x509.CertPool
	revoked func(*x509.Certificate) bool // or nil
	known   *recent[senderKey, sender]
}

type senderKey struct {
	device schemas.DeviceID
	kid    schemas.KeyID
}

// A sender is a certificate whose chain was verified, and is good until then.
type sender struct {
	leaf  *x509.Certificate
	until time.Time
}

// sendersSize is how many certificates are kept in memory, of about 3 kB each.
const sendersSize = 8192

func newSenders(cfg Config) *senders {
	return &senders{
		store:   cfg.Store,
		roots:   cfg.Devices,
		revoked: cfg.Revoked,
		known:   newRecent[senderKey, sender](sendersSize),
	}
}

// find returns the certificate of a device with that kid. False means that the
// device has to say hello.
func (s *senders) find(ctx context.Context, d schemas.DeviceID, kid schemas.KeyID, now time.Time) (sender, bool, error) {
	key := senderKey{d, kid}
	if found, ok := s.known.get(key); ok {
		return found, !now.After(found.until), nil
	}
	chain, ok, err := s.store.Chain(ctx, d, kid)
	if err != nil || !ok {
		return sender{}, false, err
	}
	found, err := s.verify(d, chain, now)
	if err != nil {
		return sender{}, false, nil // it was good once: expired, or its root was withdrawn
	}
	s.known.put(key, found)
	return found, true, nil
}

// introduce verifies and keeps the chain of a hello.
func (s *senders) introduce(ctx context.Context, d schemas.DeviceID, chain []*x509.Certificate, now time.Time) (sender, error) {
	key := senderKey{d, schemas.KeyIDOf(chain[0])}
	if found, known, err := s.find(ctx, d, key.kid, now); err != nil || known {
		return found, err
	}
	found, err := s.verify(d, chain, now)
	if err != nil {
		return sender{}, err
	}
	if err := s.store.PutChain(ctx, d, chain, now); err != nil {
		return sender{}, fmt.Errorf("keeping the chain: %w", err)
	}
	s.known.put(key, found)
	return found, nil
}

// verify checks that a chain leads to a root and speaks for the device.
func (s *senders) verify(d schemas.DeviceID, chain []*x509.Certificate, now time.Time) (sender, error) {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	paths, err := chain[0].Verify(x509.VerifyOptions{
		Roots:         s.roots,
		Intermediates: between,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return sender{}, err
	}
	id, err := mtls.IdentityOf(chain[0])
	if err != nil {
		return sender{}, err
	}
	switch { // the errors are logged, so they name nobody
	case id.Role != mtls.RoleDevice:
		return sender{}, fmt.Errorf("certificate of the role %q, want %q", id.Role, mtls.RoleDevice)
	case id.ID != string(d):
		return sender{}, errors.New("certificate of another device than the topic")
	}
	if err := mtls.CheckClientUsage(chain[0]); err != nil {
		return sender{}, err
	}
	found := sender{leaf: chain[0], until: chain[0].NotAfter}
	for _, c := range paths[0][1:] {
		if c.NotAfter.Before(found.until) {
			found.until = c.NotAfter
		}
	}
	return found, nil
}

// isRevoked reports whether the certificate of a device was revoked.
func (s *senders) isRevoked(c sender) bool { return s.revoked != nil && s.revoked(c.leaf) }

// wasRevoked reports whether the certificate that signed a request was revoked
// since. That it has expired meanwhile is no matter.
func (s *senders) wasRevoked(ctx context.Context, d schemas.DeviceID, kid schemas.KeyID, now time.Time) (bool, error) {
	if s.revoked == nil {
		return false, nil
	}
	from, _, err := s.find(ctx, d, kid, now)
	return err == nil && from.leaf != nil && s.isRevoked(from), err
}
