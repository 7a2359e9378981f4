package store

import (
	"context"
	"time"

	"github.com/carillon-iot/carillon/bridge/policy"
)

// pairingLife is how long a pairing is kept that is not used.
const pairingLife = 400 * 24 * time.Hour

// sweeps say what is over: rows of which the condition is true of the instant
// $1, after a while.
var sweeps = []struct {
	table, key, over string
	after            time.Duration
}{
	{"requests", "device, id", "state = 'done' AND due_at <= $1", 0},
	{"sessions", "device, id", "expires_at <= $1", 0},
	{"device_chains", "device, kid", "not_after <= $1", time.Hour},
	{"quotas", "name", "full_at <= $1", 0},
	{"denials", "device, person", "until <= $1", policy.Memory},
	{"pairings", "device, issuer, subject", "used_at <= $1", pairingLife},
	{"bridges", "kid", "not_after <= $1", time.Hour},
}

// Sweep gives up the delivery of answers whose time is over and deletes what is
// of no use any more, at most n rows of each kind, so that it never holds up
// other writes for long. It returns how many rows it touched.
func (s *Store) Sweep(ctx context.Context, now time.Time, n int) (touched int64, err error) {
	err = s.do(ctx, func(t *tx) (err error) {
		touched, err = t.exec(`WITH over (d, i) AS MATERIALIZED (
				SELECT device, id FROM requests WHERE state = 'answered' AND due_at <= $1 AND deadline <= $1 LIMIT $2`+t.skipLocked+`)
			UPDATE requests SET state = 'done', outcome = 'lapsed', answer = NULL, due_at = $3 FROM over WHERE device = d AND id = i`,
			ms(now), n, ms(now.Add(Tombstone)))
		if err != nil {
			return err
		}
		for _, sweep := range sweeps {
			rows, err := t.exec("WITH over AS MATERIALIZED (SELECT "+sweep.key+" FROM "+sweep.table+" WHERE "+sweep.over+" LIMIT $2"+t.skipLocked+
				") DELETE FROM "+sweep.table+" WHERE ("+sweep.key+") IN (SELECT * FROM over)", ms(now.Add(-sweep.after)), n)
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
