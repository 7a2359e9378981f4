package store

import (
	"context"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

const (
	// firstRevocation is the time from the first try to revoke a token to the
	// second, which outlasts a try; it doubles each time, up to lastRevocation.
	firstRevocation = time.Minute
	lastRevocation  = time.Hour
	// revocationLife is how long it is tried.
	revocationLife = 7 * 24 * time.Hour
)

// A Revocation is a refresh token that the provider has yet to be told to
// forget.
type Revocation struct {
	Session Key // whose token it was
	Issuer  string
	Token   string
	Broken  error // why Token could not be read; nil if it was
	Last    bool  // it is not tried again

	id     int64
	sealed []byte
}

// revocation is one as it is written.
type revocation struct {
	session Key
	issuer  string
	sealed  []byte // a Renewal
}

func (t *tx) revoke(r revocation, now time.Time) error {
	_, err := t.exec("INSERT INTO revocations (device, session, issuer, renewal, due_at, until) VALUES ($1, $2, $3, $4, $5, $6)",
		r.session.Device, r.session.ID[:], r.issuer, r.sealed, t.ms(now), t.ms(now.Add(revocationLife)))
	return err
}

// Revoke leaves a token to be revoked that belongs to no session, or to none any
// more.
func (s *Store) Revoke(ctx context.Context, session Key, issuer, token string, now time.Time) error {
	sealed, err := s.sealRenewal(session, &Renewal{Refresh: token})
	if err != nil {
		return err
	}
	return s.do(ctx, func(t *tx) error { return t.revoke(revocation{session, issuer, sealed}, now) })
}

// NextRevocation returns when the first is due; zero if there is none.
func (s *Store) NextRevocation(ctx context.Context) (time.Time, error) {
	return s.first(ctx, "SELECT min(due_at) FROM revocations")
}

// ClaimRevocations takes up to n that are due, and puts each off, twice as long
// each time. Whoever has told the provider calls Revoked.
func (s *Store) ClaimRevocations(ctx context.Context, now time.Time, n int) (claimed []Revocation, err error) {
	err = s.do(ctx, func(t *tx) error {
		claimed = claimed[:0]
		return t.each(`WITH due (i) AS MATERIALIZED (SELECT id FROM revocations WHERE due_at <= $1 ORDER BY due_at LIMIT $4`+t.skipLocked+`)
			UPDATE revocations SET tries = tries + 1,
				due_at = $1 + CASE WHEN tries < 6 THEN CAST($2 AS BIGINT) * (1 << tries) ELSE CAST($3 AS BIGINT) END
			FROM due WHERE id = i RETURNING id, device, session, issuer, renewal, due_at >= until`,
			[]any{s.ms(now), firstRevocation.Milliseconds(), lastRevocation.Milliseconds(), n}, func(from row) error {
				var r Revocation
				var session []byte
				if err := from.Scan(&r.id, &r.Session.Device, &session, &r.Issuer, &r.sealed, &r.Last); err != nil {
					return err
				}
				r.Session.ID = schemas.ID(session)
				claimed = append(claimed, r)
				return nil
			})
	})
	for i := range claimed {
		r := &claimed[i]
		var plain *Renewal
		if plain, r.Broken = s.openRenewal(r.Session, r.sealed); r.Broken == nil {
			r.Token = plain.Refresh
		}
	}
	return claimed, err
}

// Revoked ends a revocation, whatever came of it.
func (s *Store) Revoked(ctx context.Context, r Revocation) error {
	return s.do(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM revocations WHERE id = $1", r.id)
		return err
	})
}
