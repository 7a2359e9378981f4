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
	{"device_chains", "device, kid", "not_after <= $1", time.Hour},
	{"quotas", "name", "full_at <= $1", 0},
	{"denials", "device, person", "until <= $1", policy.Memory},
	{"pairings", "device, issuer, subject", "used_at <= $1", pairingLife},
	{"bridges", "kid", "not_after <= $1", time.Hour},
}

// Sweep gives up the delivery of answers whose time is over and deletes what is
// of no use any more, at most n rows of each kind, so that it never holds up
// other writes for long. It returns how many rows it touched.
//
// With the delivery of a sign-in's grant its session is given up too: nobody is
// known to have it. What renewed the sessions that are over is left to be
// revoked.
func (s *Store) Sweep(ctx context.Context, now time.Time, n int) (touched int64, err error) {
	err = s.do(ctx, func(t *tx) error {
		lapsed, err := t.lapse(now, n)
		if err != nil {
			return err
		}
		over, err := t.endSessions(now, `WITH over AS MATERIALIZED (SELECT device, id FROM sessions WHERE expires_at <= $1 LIMIT $2`+t.skipLocked+
			`) DELETE FROM sessions WHERE (device, id) IN (SELECT * FROM over)`, s.ms(now), n)
		if err != nil {
			return err
		}
		touched = int64(lapsed + over)
		for _, sweep := range sweeps {
			rows, err := t.exec("WITH over AS MATERIALIZED (SELECT "+sweep.key+" FROM "+sweep.table+" WHERE "+sweep.over+" LIMIT $2"+t.skipLocked+
				") DELETE FROM "+sweep.table+" WHERE ("+sweep.key+") IN (SELECT * FROM over)", s.ms(now.Add(-sweep.after)), n)
			if err != nil {
				return err
			}
			touched += rows
		}
		return nil
	})
	return touched, err
}

// lapse gives up the delivery of answers, and the sessions that they began.
func (t *tx) lapse(now time.Time, n int) (int, error) {
	var lapsed []Key
	err := t.each(`WITH over (d, i) AS MATERIALIZED (
			SELECT device, id FROM requests WHERE state = 'answered' AND due_at <= $1 AND deadline <= $1 LIMIT $2`+t.skipLocked+`)
		UPDATE requests SET state = 'done', outcome = 'lapsed', answer = NULL, due_at = $3 FROM over WHERE device = d AND id = i
		RETURNING device, id`, []any{t.ms(now), n, t.ms(now.Add(Tombstone))}, func(from row) error {
		k, err := scanKey(from)
		lapsed = append(lapsed, k)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, k := range lapsed {
		if _, err := t.endSessions(now, "DELETE FROM sessions WHERE device = $1 AND id = $2", k.Device, k.ID[:]); err != nil {
			return 0, err
		}
	}
	return len(lapsed), nil
}

// Lapsed is the outcome of a request whose answer nobody fetched in time.
const Lapsed = "lapsed"
