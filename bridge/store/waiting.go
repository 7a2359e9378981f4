package store

import (
	"context"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
)

// Rang records that the provider has taken the request on: the row waits from
// now on, as poll says. It reports whether the row was still Ringing; if not,
// somebody has given an answer meanwhile.
func (s *Store) Rang(ctx context.Context, k Key, d Details, poll ciba.Poll) (bool, error) {
	details, err := s.sealDetails(k, d)
	if err != nil {
		return false, err
	}
	var n int64
	err = s.do(ctx, func(t *tx) (err error) {
		n, err = t.exec(`UPDATE requests SET state = 'waiting', details = $1, due_at = $2, deadline = $3, interval_ms = $4
			WHERE device = $5 AND id = $6 AND state = 'ringing'`,
			details, ms(poll.Due), ms(poll.Deadline), poll.Interval.Milliseconds(), k.Device, k.ID[:])
		return err
	})
	return n == 1, err
}

// ClaimPolls takes up to n sign-ins whose poll is due and puts them off until
// lease, by when the poll must have ended. Poll.Lost is set where an earlier
// poll was never heard of again.
func (s *Store) ClaimPolls(ctx context.Context, now, lease time.Time, n int) ([]Request, error) {
	return s.claim(ctx, `UPDATE requests SET due_at = $1, lost = CASE WHEN asking = 1 THEN 1 ELSE lost END, asking = 1
		WHERE (device, id) IN (
			SELECT device, id FROM requests WHERE state = 'waiting' AND due_at <= $2 ORDER BY due_at LIMIT $3)`,
		ms(lease), ms(now), n)
}

// Polled records that a poll brought nothing yet: the next is due as poll says.
// It reports whether the claim still held.
func (s *Store) Polled(ctx context.Context, r Request, poll ciba.Poll) (bool, error) {
	var n int64
	lost := 0
	if poll.Lost {
		lost = 1
	}
	err := s.do(ctx, func(t *tx) (err error) {
		n, err = t.exec(`UPDATE requests SET due_at = $1, interval_ms = $2, failures = $3, lost = $4, asking = 0
			WHERE device = $5 AND id = $6 AND state = 'waiting' AND due_at = $7`,
			ms(poll.Due), poll.Interval.Milliseconds(), poll.Failures, lost, r.Device, r.ID[:], r.lease)
		return err
	})
	return n == 1, err
}

// ClaimRinging takes up to n sign-ins of which the provider should have been
// heard long ago, and puts them off until lease. Whoever was to ring is dead.
func (s *Store) ClaimRinging(ctx context.Context, now, lease time.Time, n int) ([]Request, error) {
	return s.claim(ctx, `UPDATE requests SET due_at = $1
		WHERE (device, id) IN (
			SELECT device, id FROM requests WHERE state = 'ringing' AND due_at <= $2 ORDER BY due_at LIMIT $3)`,
		ms(lease), ms(now), n)
}

// TakeOver makes due what a dead process has left half done: what it was about
// to ring at once, what it was polling after one interval. It is called before
// work begins. The lock on the file proves that the process is dead.
func (s *Store) TakeOver(ctx context.Context, now time.Time) error {
	return s.do(ctx, func(t *tx) error {
		if _, err := t.exec("UPDATE requests SET due_at = $1 WHERE state = 'ringing'", ms(now)); err != nil {
			return err
		}
		_, err := t.exec("UPDATE requests SET due_at = $1 + interval_ms, lost = 1, asking = 0 WHERE state = 'waiting' AND asking = 1", ms(now))
		return err
	})
}
