package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/carillon-iot/carillon/schemas"
)

// maxSessions is how many sessions of one person on one device are kept; the
// oldest go first. It is also how many one message can name.
const maxSessions = 16

// A Session is a grant that was not ended since. Its id is that of the sign-in.
type Session struct {
	Key
	Issuer, Subject string
	// Renewal is nil if the session cannot be renewed.
	Renewal *Renewal
	// RenewUntil is the last instant at which it may be.
	RenewUntil time.Time
	// Expires is when the session is forgotten.
	Expires time.Time

	sealed []byte // Renewal, as stored: the state that a renewal begins with
}

// A Renewal is what it takes to renew a session. It is encrypted at rest.
type Renewal struct {
	Refresh string             `cbor:"1,keyasint"` // token
	Kind    schemas.DeviceKind `cbor:"2,keyasint"` // of the device
	Scope   []string           `cbor:"3,keyasint"` // as granted last
}

func sessionPlace(k Key) string { return "sessions/" + string(k.Device) + "/" + k.ID.String() }

// sealRenewal returns nil for nil.
func (s *Store) sealRenewal(session Key, r *Renewal) ([]byte, error) {
	if r == nil {
		return nil, nil
	}
	plain, err := cbor.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encoding what renews a session: %w", err)
	}
	return s.keys.seal(sessionPlace(session), plain), nil
}

// openRenewal is the inverse of sealRenewal. Its errors are ErrUnreadable.
func (s *Store) openRenewal(session Key, sealed []byte) (*Renewal, error) {
	if sealed == nil {
		return nil, nil
	}
	r := new(Renewal)
	plain, err := s.keys.open(sessionPlace(session), sealed)
	if err == nil {
		err = cbor.Unmarshal(plain, r)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: what renews a session: %w", ErrUnreadable, err)
	}
	return r, nil
}

var sessionColumns = []column{
	{"d", "TEXT"}, {"n", bytes}, {"i", "TEXT"}, {"s", "TEXT"}, {"sealed", bytes}, {"created", "BIGINT"}, {"until", "BIGINT"}, {"over", "BIGINT"},
}

const insertSessions = `INSERT INTO sessions (device, id, issuer, subject, renewal, created_at, renew_until, expires_at)
	SELECT DISTINCT d, n, i, s, sealed, created, until, over FROM v WHERE TRUE ON CONFLICT (device, id) DO NOTHING`

var deleteSurplus = `DELETE FROM sessions WHERE (device, id) IN (SELECT device, id FROM (
	SELECT device, id, row_number() OVER (PARTITION BY device, issuer, subject ORDER BY created_at DESC) AS place
	FROM sessions WHERE (device, issuer, subject) IN (SELECT d, i, s FROM v)) AS ranked WHERE place > ` + strconv.Itoa(maxSessions) + `)`

// beginSessions stores sessions, and ends those that are too many for one person on
// one device.
func (t *tx) beginSessions(granted []*granting) error {
	rows := make([][]any, len(granted))
	for i, g := range granted {
		p := g.Pairing
		rows[i] = []any{g.Device, g.ID[:], p.Issuer, p.Subject, g.renewal, t.ms(g.Now), t.ms(g.RenewUntil), t.ms(g.Expires)}
	}
	given, args := t.given(sessionColumns, rows)
	if err := t.later(given+insertSessions, args, nothing); err != nil {
		return err
	}
	_, err := t.endSessions(granted[0].Now, given+deleteSurplus, args...)
	return err
}

// Session returns a session that has not ended. Where what renews it does not
// open, it comes with an error that is ErrUnreadable.
func (s *Store) Session(ctx context.Context, k Key, now time.Time) (Session, bool, error) {
	out := Session{Key: k}
	var until, expires int64
	ok, err := s.get(ctx, "SELECT issuer, subject, renewal, renew_until, expires_at FROM sessions WHERE device = $1 AND id = $2 AND expires_at > $3",
		[]any{k.Device, k.ID[:], s.ms(now)}, &out.Issuer, &out.Subject, &out.sealed, &until, &expires)
	if err != nil || !ok {
		return Session{}, false, err
	}
	out.RenewUntil, out.Expires = s.at(until), s.at(expires)
	out.Renewal, err = s.openRenewal(k, out.sealed)
	return out, true, err
}

// Sessions returns the ids of a person's sessions on a device, at most 16, oldest
// first.
func (s *Store) Sessions(ctx context.Context, d schemas.DeviceID, issuer, subject string, now time.Time) (ids []schemas.ID, err error) {
	err = s.each(ctx, "SELECT id FROM sessions WHERE device = $1 AND issuer = $2 AND subject = $3 AND expires_at > $4 ORDER BY created_at LIMIT $5",
		[]any{d, issuer, subject, s.ms(now), maxSessions}, func(from row) error {
			var id []byte
			if err := from.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, schemas.ID(id))
			return nil
		})
	return ids, err
}

// SignOut forgets sessions of a device, those named or, with nil, all of them,
// and stores the answer. It reports whether it did; if not, there is a request
// of that name. What renewed them is left to be revoked.
func (s *Store) SignOut(ctx context.Context, e Ending, sessions []schemas.ID) (done bool, err error) {
	err = s.do(ctx, func(t *tx) error {
		stored, err := t.insert(e)
		if done = stored; err != nil || !stored {
			return err
		}
		if sessions == nil {
			_, err = t.endSessions(e.Now, "DELETE FROM sessions WHERE device = $1", e.Device)
			return err
		}
		for _, id := range sessions {
			if _, err := t.endSessions(e.Now, "DELETE FROM sessions WHERE device = $1 AND id = $2", e.Device, id[:]); err != nil {
				return err
			}
		}
		return nil
	})
	return done, err
}

// EndSessions forgets every session of a device, and returns how many there
// were.
func (s *Store) EndSessions(ctx context.Context, d schemas.DeviceID, now time.Time) (n int, err error) {
	err = s.do(ctx, func(t *tx) (err error) {
		n, err = t.endSessions(now, "DELETE FROM sessions WHERE device = $1", d)
		return err
	})
	return n, err
}

// endSessions runs a DELETE of sessions, and leaves what renewed them to be
// revoked. It returns how many there were.
func (t *tx) endSessions(now time.Time, query string, args ...any) (n int, err error) {
	var left []revocation
	err = t.each(query+" RETURNING device, id, issuer, renewal", args, func(from row) error {
		var r revocation
		var err error
		r.session, err = scanKey(from, &r.issuer, &r.sealed)
		n++
		if r.sealed != nil {
			left = append(left, r)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, r := range left {
		if err := t.revoke(r, now); err != nil {
			return 0, err
		}
	}
	return n, nil
}
