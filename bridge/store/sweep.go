package store

import (
	"context"
	"time"

	"github.com/carillon-iot/carillon/bridge/policy"
)

// pairingLife is how long a pairing is kept that is not used.
const pairingLife = 400 * 24 * time.Hour

// sweeps delete what is over, at most $2 rows each; $1 is the time by which it
// must be.
var sweeps = []struct {
	query string
	grace time.Duration
}{
	{"DELETE FROM requests WHERE (device, id) IN (SELECT device, id FROM requests WHERE state = 'done' AND due_at <= $1 LIMIT $2)", 0},
	{"DELETE FROM sessions WHERE (device, id) IN (SELECT device, id FROM sessions WHERE expires_at <= $1 LIMIT $2)", 0},
	{"DELETE FROM device_chains WHERE (device, kid) IN (SELECT device, kid FROM device_chains WHERE not_after <= $1 LIMIT $2)", time.Hour},
	{"DELETE FROM quotas WHERE name IN (SELECT name FROM quotas WHERE full_at <= $1 LIMIT $2)", 0},
	{"DELETE FROM denials WHERE (device, person) IN (SELECT device, person FROM denials WHERE until <= $1 LIMIT $2)", policy.Memory},
	{"DELETE FROM pairings WHERE (device, issuer, subject) IN (SELECT device, issuer, subject FROM pairings WHERE used_at <= $1 LIMIT $2)", pairingLife},
	{"DELETE FROM bridges WHERE kid IN (SELECT kid FROM bridges WHERE not_after <= $1 LIMIT $2)", time.Hour},
}

// Sweep gives up the delivery of answers whose time is over and deletes what is
// of no use any more, at most n rows of each kind, so that it never holds up
// other writes for long. It returns how many rows it touched.
func (s *Store) Sweep(ctx context.Context, now time.Time, n int) (touched int64, err error) {
	err = s.do(ctx, func(t *tx) (err error) {
		touched, err = t.exec(`UPDATE requests SET state = 'done', outcome = 'lapsed', answer = NULL, due_at = $1
			WHERE (device, id) IN (
				SELECT device, id FROM requests WHERE state = 'answered' AND due_at <= $2 AND deadline <= $2 LIMIT $3)`,
			ms(now.Add(Tombstone)), ms(now), n)
		if err != nil {
			return err
		}
		for _, sweep := range sweeps {
			rows, err := t.exec(sweep.query, ms(now.Add(-sweep.grace)), n)
			if err != nil {
				return err
			}
			touched += rows
		}
		return nil
	})
	return touched, err
}

// Lapsed is the outcome of a request whose answer nobody fetched in time.
const Lapsed = "lapsed"
