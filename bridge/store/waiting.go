package store

import (
	"context"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
)

// Rang records that the provider has taken the request on: the row waits from
// now on, as poll says, or as it says after a ping if one has come already. It
// reports whether the row was still Ringing; if not, somebody has given an
// answer meanwhile.
func (s *Store) Rang(ctx context.Context, k Key, d Details, poll ciba.Poll, now time.Time) (bool, error) {
	details, err := s.sealDetails(k, d)
	if err != nil {
		return false, err
	}
	var n int64
	err = s.do(ctx, func(t *tx) (err error) {
		n, err = t.exec(`UPDATE requests SET state = 'waiting', details = $1, due_at = CASE WHEN pinged = 1 THEN CAST($2 AS BIGINT) ELSE $3 END,
				deadline = $4, interval_ms = $5, fallback_ms = $6
			WHERE device = $7 AND id = $8 AND state = 'ringing'`,
			details, ms(poll.AfterPing(now).Due), ms(poll.Due), ms(poll.Deadline), poll.Interval.Milliseconds(), poll.Fallback.Milliseconds(),
			k.Device, k.ID[:])
		return err
	})
	return n == 1, err
}

// Pinged records that the provider has decided: the next poll is due at once
// ([ciba.Poll.AfterPing]). While a poll is on its way, or the phone is about to
// ring, the ping is only remembered, for Polled and Rang. It reports whether the
// ping was the first one of a sign-in that rings or waits; any other changes
// nothing.
func (s *Store) Pinged(ctx context.Context, k Key, now time.Time) (first bool, err error) {
	err = s.do(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE requests SET pinged = 1,
				due_at = CASE WHEN state = 'waiting' AND asking = 0 AND fallback_ms > 0 AND due_at > $1 THEN $1 ELSE due_at END
			WHERE device = $2 AND id = $3 AND state IN ('ringing', 'waiting') AND pinged = 0`,
			ms(now), k.Device, k.ID[:])
		first = n == 1
		return err
	})
	return first, err
}

// ClaimPolls takes up to n sign-ins whose poll is due and puts them off until
// lease, by when the poll must have ended. Poll.Lost is set where an earlier
// poll was never heard of again.
func (s *Store) ClaimPolls(ctx context.Context, now, lease time.Time, n int) ([]Request, error) {
	return s.claim(ctx, Waiting, "due_at <= $1",
		"due_at = $3, lost = CASE WHEN asking = 1 THEN 1 ELSE lost END, asking = 1", ms(now), n, ms(lease))
}

// Polled records that a poll brought nothing yet: the next is due as poll says,
// or as it says after a ping if one came during this poll. It reports whether
// the claim still held.
func (s *Store) Polled(ctx context.Context, r Request, poll ciba.Poll, now time.Time) (bool, error) {
	var n int64
	lost := 0
	if poll.Lost {
		lost = 1
	}
	err := s.do(ctx, func(t *tx) (err error) {
		n, err = t.exec(`UPDATE requests SET due_at = CASE WHEN pinged = 1 THEN CAST($1 AS BIGINT) ELSE $2 END,
				interval_ms = $3, failures = $4, lost = $5, asking = 0
			WHERE device = $6 AND id = $7 AND state = 'waiting' AND due_at = $8`,
			ms(poll.AfterPing(now).Due), ms(poll.Due), poll.Interval.Milliseconds(), poll.Failures, lost,
			r.Device, r.ID[:], r.lease)
		return err
	})
	return n == 1, err
}

// ClaimRinging takes up to n sign-ins of which the provider should have been
// heard long ago, and puts them off until lease. Whoever was to ring is dead.
func (s *Store) ClaimRinging(ctx context.Context, now, lease time.Time, n int) ([]Request, error) {
	return s.claim(ctx, Ringing, "due_at <= $1", "due_at = $3", ms(now), n, ms(lease))
}

// TakeOver makes due what a dead process has left half done: what it was about
// to ring or to renew at once, what it was polling after one interval. It is called before
// work begins. The lock on an SQLite file proves that the process is dead; where
// other bridges may be alive, nothing is touched, and claims run out.
func (s *Store) TakeOver(ctx context.Context, now time.Time) error {
	if !s.alone {
		return nil
	}
	return s.do(ctx, func(t *tx) error {
		if _, err := t.exec("UPDATE requests SET due_at = $1 WHERE state IN ('ringing', 'renewing')", ms(now)); err != nil {
			return err
		}
		_, err := t.exec("UPDATE requests SET due_at = $1 + interval_ms, lost = 1, asking = 0 WHERE state = 'waiting' AND asking = 1", ms(now))
		return err
	})
}
