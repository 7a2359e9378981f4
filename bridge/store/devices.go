package store

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// maxChains is how many chains of one device are kept; the oldest go first.
const maxChains = 4

// PutChain keeps the certificate chain of a device, leaf first, besides those it
// has had before and that are still valid.
func (s *Store) PutChain(ctx context.Context, d schemas.DeviceID, chain []*x509.Certificate, now time.Time) error {
	kid := schemas.KeyIDOf(chain[0])
	var der []byte
	for _, c := range chain {
		der = append(der, c.Raw...)
	}
	return s.do(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO device_chains (device, kid, chain, stored_at, not_after) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (device, kid) DO UPDATE SET chain = excluded.chain, stored_at = excluded.stored_at`,
			d, kid[:], der, s.ms(now), s.ms(chain[0].NotAfter))
		if err != nil {
			return err
		}
		_, err = t.exec(`DELETE FROM device_chains WHERE device = $1 AND kid IN (
				SELECT kid FROM device_chains WHERE device = $1 ORDER BY stored_at DESC LIMIT 1000 OFFSET $2)`, d, maxChains)
		return err
	})
}

// Chain returns the chain of a device whose leaf has that kid.
func (s *Store) Chain(ctx context.Context, d schemas.DeviceID, kid schemas.KeyID) ([]*x509.Certificate, bool, error) {
	var der []byte
	ok, err := s.get(ctx, "SELECT chain FROM device_chains WHERE device = $1 AND kid = $2", []any{d, kid[:]}, &der)
	if err != nil || !ok {
		return nil, false, err
	}
	chain, err := x509.ParseCertificates(der)
	if err != nil || len(chain) == 0 {
		return nil, false, fmt.Errorf("the stored chain of device %s does not parse: %w", s.Pseudonym(d), err)
	}
	return chain, true, nil
}

// A Device is one with the certificate that it has introduced last.
type Device struct {
	ID   schemas.DeviceID
	Leaf *x509.Certificate
}

// Renewing returns up to n devices that have sessions which can be renewed, in
// the order of their ids, from the one after.
func (s *Store) Renewing(ctx context.Context, after schemas.DeviceID, n int) (devices []Device, err error) {
	chains := make(map[schemas.DeviceID][]byte)
	var order []schemas.DeviceID
	err = s.each(ctx, `SELECT DISTINCT s.device, c.chain FROM sessions s JOIN device_chains c ON c.device = s.device
		WHERE s.renewal IS NOT NULL AND s.device > $1 AND c.stored_at = (SELECT max(stored_at) FROM device_chains WHERE device = s.device)
		ORDER BY s.device LIMIT $2`, []any{after, n}, func(from row) error {
		var id schemas.DeviceID
		var der []byte
		if err := from.Scan(&id, &der); err != nil {
			return err
		}
		if chains[id] == nil {
			order = append(order, id)
		}
		chains[id] = der
		return nil
	})
	for _, id := range order {
		chain, parseErr := x509.ParseCertificates(chains[id])
		if parseErr != nil || len(chain) == 0 {
			return nil, fmt.Errorf("the stored chain of device %s does not parse: %w", s.Pseudonym(id), parseErr)
		}
		devices = append(devices, Device{id, chain[0]})
	}
	return devices, err
}

// PutBridge says that a bridge with this certificate works on the state.
func (s *Store) PutBridge(ctx context.Context, leaf *x509.Certificate, now time.Time) error {
	kid := schemas.KeyIDOf(leaf)
	return s.do(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO bridges (kid, leaf, seen_at, not_after) VALUES ($1, $2, $3, $4)
			ON CONFLICT (kid) DO UPDATE SET seen_at = excluded.seen_at`, kid[:], leaf.Raw, s.ms(now), s.ms(leaf.NotAfter))
		return err
	})
}

// Living returns how many bridges were seen since, which the one that asks is
// itself: 1 at least. On SQLite it is the only one, whoever was there before.
func (s *Store) Living(ctx context.Context, since time.Time) (n int, err error) {
	if s.alone {
		return 1, nil
	}
	_, err = s.get(ctx, "SELECT count(*) FROM bridges WHERE seen_at >= $1", []any{s.ms(since)}, &n)
	return max(n, 1), err
}

// Bridges returns the certificates (DER) under which bridges have worked on the
// state, as far as they are valid and were seen since, at most n, in a fixed
// order.
func (s *Store) Bridges(ctx context.Context, now, since time.Time, n int) (leaves [][]byte, err error) {
	err = s.each(ctx, `SELECT leaf FROM (SELECT kid, leaf FROM bridges WHERE not_after > $1 AND seen_at >= $2 ORDER BY seen_at DESC LIMIT $3) AS b ORDER BY kid`,
		[]any{s.ms(now), s.ms(since), n}, func(from row) error {
			var leaf []byte
			if err := from.Scan(&leaf); err != nil {
				return err
			}
			leaves = append(leaves, leaf)
			return nil
		})
	return leaves, err
}

// Bridge returns the certificate (DER) of a bridge that has worked on the state,
// as long as it is valid; nil if there is none with this key id.
func (s *Store) Bridge(ctx context.Context, kid schemas.KeyID, now time.Time) (leaf []byte, err error) {
	_, err = s.get(ctx, "SELECT leaf FROM bridges WHERE kid = $1 AND not_after > $2", []any{kid[:], s.ms(now)}, &leaf)
	return leaf, err
}
