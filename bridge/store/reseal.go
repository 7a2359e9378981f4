package store

import (
	"context"
	"fmt"

	"github.com/carillon-iot/carillon/schemas"
)

// A sealedCell is one secret in the database that lasts.
type sealedCell struct {
	what   string // for errors
	where  string // the place to which it is bound
	device string
	sealed []byte
	update string // takes the new ciphertext, the key's columns and the old one
	key    []any
}

// Reseal encrypts under the first key up to n, of each kind, of the secrets that
// last, and are under another one. It returns how many it found; when there are
// none, and nothing rings or waits from before the new key was put first, the
// other keys may go.
func (s *Store) Reseal(ctx context.Context, n int) (found int, err error) {
	pairings, err := s.oldPairings(ctx, n)
	if err != nil {
		return 0, err
	}
	sessions, err := s.oldSessions(ctx, n)
	if err != nil {
		return 0, err
	}
	cells := append(pairings, sessions...)
	if len(cells) == 0 {
		return 0, nil
	}
	fresh := make([][]byte, len(cells))
	for i, c := range cells {
		plain, err := s.keys.open(c.where, c.sealed)
		if err != nil {
			return 0, fmt.Errorf("%s of device %s: %w", c.what, s.Pseudonym(schemas.DeviceID(c.device)), err)
		}
		fresh[i] = s.keys.seal(c.where, plain)
	}
	return len(cells), s.do(ctx, func(t *tx) error {
		for i, c := range cells {
			args := append([]any{fresh[i]}, c.key...)
			if _, err := t.exec(c.update, append(args, c.sealed)...); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) oldPairings(ctx context.Context, n int) (cells []sealedCell, err error) {
	err = s.each(ctx, "SELECT device, issuer, subject, secret FROM pairings WHERE substr(secret, 2, 4) <> $1 LIMIT $2",
		[]any{s.keys.first[:], n}, func(from row) error {
			var issuer, subject string
			c := sealedCell{
				what:   "a person",
				update: "UPDATE pairings SET secret = $1 WHERE device = $2 AND issuer = $3 AND subject = $4 AND secret = $5",
			}
			if err := from.Scan(&c.device, &issuer, &subject, &c.sealed); err != nil {
				return err
			}
			c.where, c.key = pairingPlace(c.device, issuer, subject), []any{c.device, issuer, subject}
			cells = append(cells, c)
			return nil
		})
	return cells, err
}

func (s *Store) oldSessions(ctx context.Context, n int) (cells []sealedCell, err error) {
	err = s.each(ctx, "SELECT device, id, renewal FROM sessions WHERE substr(renewal, 2, 4) <> $1 LIMIT $2",
		[]any{s.keys.first[:], n}, func(from row) error {
			c := sealedCell{
				what:   "a session",
				update: "UPDATE sessions SET renewal = $1 WHERE device = $2 AND id = $3 AND renewal = $4",
			}
			k, err := scanKey(from, &c.sealed)
			if err != nil {
				return err
			}
			c.device, c.where, c.key = string(k.Device), sessionPlace(k), []any{k.Device, k.ID[:]}
			cells = append(cells, c)
			return nil
		})
	return cells, err
}
