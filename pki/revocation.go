package pki

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/smallstep/certificates/db"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// Reason says why a certificate has been revoked (RFC 5280 section 5.3.1).
type Reason int

// The reasons that make sense here.
const (
	ReasonUnspecified   Reason = 0
	ReasonKeyCompromise Reason = 1
	ReasonSuperseded    Reason = 4 // replaced: the only reason that leaves the holder's key in force
	ReasonCessation     Reason = 5 // the holder is no more, or has changed hands
	ReasonPrivilege     Reason = 9 // the holder may not do what it did
)

// ParseReason returns the reason of a name: unspecified, key-compromise,
// superseded, cessation, privilege-withdrawn.
func ParseReason(name string) (Reason, error) {
	reasons := map[string]Reason{
		"unspecified": ReasonUnspecified, "key-compromise": ReasonKeyCompromise, "superseded": ReasonSuperseded,
		"cessation": ReasonCessation, "privilege-withdrawn": ReasonPrivilege,
	}
	if r, ok := reasons[name]; ok {
		return r, nil
	}
	return 0, fmt.Errorf("reason %q is none of unspecified, key-compromise, superseded, cessation, privilege-withdrawn", name)
}

// ErrUnknown means that the authority has no record of a holder or a
// certificate.
var ErrUnknown = errors.New("unknown to this authority")

// Revoke revokes a holder: every certificate it has, and the holder itself,
// which gets no other, by renewal or with a token, until [Authority.Reinstate].
// It returns the serial numbers that were revoked now. Revoking again is no
// error. A holder that is not known yet can be revoked too: its tokens are worth
// nothing then.
func (a *Authority) Revoke(ctx context.Context, id mtls.Identity, reason Reason, note string) ([]string, error) {
	if err := errors.Join(ctx.Err(), id.Validate()); err != nil {
		return nil, fmt.Errorf("revoking %s: %w", id, err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	var all []issued
	err := a.store.update(id, func(h *holder) error {
		if h.Blocked == nil {
			h.Blocked, h.Note = &now, note
		}
		all = slices.Clone(h.Issued)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("revoking %s: %w", id, err)
	}
	serials, err := a.store.revokeAll(all, db.RevokedCertificateInfo{ReasonCode: int(reason), Reason: note, RevokedAt: now})
	if err != nil {
		return nil, fmt.Errorf("revoking %s: it is blocked, but not all of its certificates are: %w", id, err)
	}
	a.log.Warn("holder revoked", "holder", id.String(), "certificates", len(serials), "reason", int(reason), "note", note)
	return serials, a.regenerate()
}

// RevokeSerial revokes one certificate and, unless the reason is
// ReasonSuperseded, its key: every certificate that it was renewed into, or
// from. The holder may enrol again with another key. It returns the serial
// numbers that were revoked now.
func (a *Authority) RevokeSerial(ctx context.Context, serial *big.Int, reason Reason, note string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cert, err := a.store.GetCertificate(serial.String())
	if err != nil {
		return nil, fmt.Errorf("revoking certificate %s: %w", serial, ErrUnknown)
	}
	info := db.RevokedCertificateInfo{
		Serial: serial.String(), ReasonCode: int(reason), Reason: note,
		RevokedAt: time.Now().UTC(), ExpiresAt: cert.NotAfter,
	}
	serials, err := a.store.revokeKey(cert, info)
	if err != nil {
		return nil, fmt.Errorf("revoking certificate %s: %w", serial, err)
	}
	return serials, a.regenerate()
}

// Reinstate lets a revoked holder enrol again, with a new token. What was
// revoked stays revoked, and so do all keys that the holder had, unless it may
// keep them: when it was revoked by mistake, or cannot make another.
func (a *Authority) Reinstate(ctx context.Context, id mtls.Identity, sameKeys bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := a.store.update(id, func(h *holder) error {
		if h.Blocked == nil {
			return fmt.Errorf("it is not revoked: %w", ErrUnknown)
		}
		for i := range h.Keys {
			h.Keys[i].Revoked = !sameKeys
		}
		h.Blocked, h.Note = nil, ""
		return nil
	})
	if err != nil {
		return fmt.Errorf("reinstating %s: %w", id, err)
	}
	a.log.Warn("holder reinstated", "holder", id.String(), "same_keys", sameKeys)
	return nil
}

// IsRevoked reports whether a certificate of this authority has been revoked. It
// is for servers in the same process; others use [mtls.RevocationList]. If the
// database cannot answer, everything is revoked.
func (a *Authority) IsRevoked(cert *x509.Certificate) bool {
	revoked, err := a.store.IsRevoked(cert.SerialNumber.String())
	if err != nil {
		a.log.Error("cannot look up a revocation, taking it for revoked", "error", err)
		return true
	}
	return revoked
}
