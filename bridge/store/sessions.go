package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// maxSessions is how many sessions of one person on one device are kept; the
// oldest go first. It is also how many one message can name.
const maxSessions = 16

// A Session is a grant that was not ended since. Its id is that of the sign-in.
type Session struct {
	Key
	Issuer, Subject string
	Refresh         string // token; "" if the session cannot be renewed
	Expires         time.Time
}

func sessionPlace(k Key) string { return "sessions/" + string(k.Device) + "/" + k.ID.String() }

func (t *tx) beginSession(e Ending, g Grant, refresh []byte) error {
	p := g.Pairing
	_, err := t.exec(`INSERT INTO sessions (device, id, issuer, subject, refresh, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (device, id) DO NOTHING`,
		e.Device, e.ID[:], p.Issuer, p.Subject, refresh, ms(e.Now), ms(g.Expires))
	if err != nil {
		return err
	}
	_, err = t.exec(`DELETE FROM sessions WHERE device = $1 AND id IN (
			SELECT id FROM sessions WHERE device = $1 AND issuer = $2 AND subject = $3 ORDER BY created_at DESC LIMIT 1000 OFFSET $4)`,
		e.Device, p.Issuer, p.Subject, maxSessions)
	return err
}

// Session returns a session that has not ended.
func (s *Store) Session(ctx context.Context, k Key, now time.Time) (Session, bool, error) {
	out := Session{Key: k}
	var refresh []byte
	var expires int64
	ok, err := s.get(ctx, "SELECT issuer, subject, refresh, expires_at FROM sessions WHERE device = $1 AND id = $2 AND expires_at > $3",
		[]any{k.Device, k.ID[:], ms(now)}, &out.Issuer, &out.Subject, &refresh, &expires)
	if err != nil || !ok {
		return Session{}, false, err
	}
	out.Expires = at(expires)
	if refresh != nil {
		plain, err := s.keys.open(sessionPlace(k), refresh)
		if err != nil {
			return Session{}, false, err
		}
		out.Refresh = string(plain)
	}
	return out, true, nil
}

// Sessions returns the ids of a person's sessions on a device, at most 16, oldest
// first.
func (s *Store) Sessions(ctx context.Context, d schemas.DeviceID, issuer, subject string, now time.Time) (ids []schemas.ID, err error) {
	err = s.each(ctx, "SELECT id FROM sessions WHERE device = $1 AND issuer = $2 AND subject = $3 AND expires_at > $4 ORDER BY created_at LIMIT $5",
		[]any{d, issuer, subject, ms(now), maxSessions}, func(rows *sql.Rows) error {
			var id []byte
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, schemas.ID(id))
			return nil
		})
	return ids, err
}

// SignOut forgets sessions of a device, those named or, with nil, all of them,
// and stores the answer. It reports whether it did; if not, there is a request
// of that name.
//
// It returns the refresh tokens that the sessions had, so that they can be
// revoked at the provider.
func (s *Store) SignOut(ctx context.Context, e Ending, sessions []schemas.ID) (refresh []string, done bool, err error) {
	ended := make(map[schemas.ID][]byte)
	err = s.do(ctx, func(t *tx) error {
		clear(ended)
		stored, err := t.insert(e)
		if done = stored; err != nil || !stored {
			return err
		}
		return t.endSessions(e.Device, sessions, ended)
	})
	for id, sealed := range ended {
		if plain, openErr := s.keys.open(sessionPlace(Key{e.Device, id}), sealed); openErr == nil {
			refresh = append(refresh, string(plain))
		}
	}
	return refresh, done, err
}

func (t *tx) endSessions(d schemas.DeviceID, ids []schemas.ID, ended map[schemas.ID][]byte) error {
	collect := func(rows *sql.Rows) error {
		var id, refresh []byte
		if err := rows.Scan(&id, &refresh); err != nil {
			return err
		}
		if refresh != nil {
			ended[schemas.ID(id)] = refresh
		}
		return nil
	}
	if ids == nil {
		return t.each("DELETE FROM sessions WHERE device = $1 RETURNING id, refresh", []any{d}, collect)
	}
	for _, id := range ids {
		if err := t.each("DELETE FROM sessions WHERE device = $1 AND id = $2 RETURNING id, refresh", []any{d, id[:]}, collect); err != nil {
			return err
		}
	}
	return nil
}
