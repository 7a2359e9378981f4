package store

import (
	"context"
	"database/sql"
	"fmt"
)

// A sealedCell is one secret in the database.
type sealedCell struct {
	device, issuer, subject string // of a pairing
	sealed                  []byte
}

// Reseal encrypts under the first key up to n of the secrets that last, and are
// under another one. It returns how many it found; when there are none, and
// nothing rings or waits from before the new key was put first, the other keys
// may go.
func (s *Store) Reseal(ctx context.Context, n int) (found int, err error) {
	var cells []sealedCell
	err = s.each(ctx, "SELECT device, issuer, subject, secret FROM pairings WHERE substr(secret, 2, 4) <> $1 LIMIT $2",
		[]any{s.keys.first[:], n}, func(rows *sql.Rows) error {
			var c sealedCell
			if err := rows.Scan(&c.device, &c.issuer, &c.subject, &c.sealed); err != nil {
				return err
			}
			cells = append(cells, c)
			return nil
		})
	if err != nil || len(cells) == 0 {
		return 0, err
	}
	fresh := make([][]byte, len(cells))
	for i, c := range cells {
		where := pairingPlace(c.device, c.issuer, c.subject)
		plain, err := s.keys.open(where, c.sealed)
		if err != nil {
			return 0, fmt.Errorf("a person of device %q: %w", c.device, err)
		}
		fresh[i] = s.keys.seal(where, plain)
	}
	return len(cells), s.do(ctx, func(t *tx) error {
		for i, c := range cells {
			if _, err := t.exec("UPDATE pairings SET secret = $1 WHERE device = $2 AND issuer = $3 AND subject = $4 AND secret = $5",
				fresh[i], c.device, c.issuer, c.subject, c.sealed); err != nil {
				return err
			}
		}
		return nil
	})
}
