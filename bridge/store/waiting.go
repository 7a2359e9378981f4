package store

import (
	"context"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
)

// rang lets requests wait that ring.
var rang = bulk{
	columns: []column{
		{"device", "TEXT"}, {"id", bytes}, {"details", bytes}, {"due_pinged", "BIGINT"}, {"due_next", "BIGINT"},
		{"deadline", "BIGINT"}, {"interval_ms", "BIGINT"}, {"fallback_ms", "BIGINT"},
	},
	change: `state = 'waiting', details = v.details, due_at = CASE WHEN pinged = 1 THEN v.due_pinged ELSE v.due_next END,
		deadline = v.deadline, interval_ms = v.interval_ms, fallback_ms = v.fallback_ms`,
	where: "state || '' = 'ringing'", // SQLite would take state = 'ringing' for a way to find them
}

// Rang records that the provider has taken the request on: the row waits from
// now on, as poll says, or as it says after a ping if one has come already. It
// reports whether the row was still Ringing; if not, somebody has given an
// answer meanwhile.
func (s *Store) Rang(ctx context.Context, k Key, d Details, poll ciba.Poll, now time.Time) (bool, error) {
	details, err := s.sealDetails(k, d)
	if err != nil {
		return false, err
	}
	return s.doRow(ctx, &rang, k, details, s.ms(poll.AfterPing(now).Due), s.ms(poll.Due),
		s.ms(poll.Deadline), poll.Interval.Milliseconds(), poll.Fallback.Milliseconds())
}

// Pinged records that the provider has decided: the next poll is due at once
// ([ciba.Poll.AfterPing]). While a poll is on its way, or the phone is about to
// ring, the ping is only remembered, for Polled and Rang. It reports whether the
// ping was the first one of a sign-in that rings or waits; any other changes
// nothing.
func (s *Store) Pinged(ctx context.Context, k Key, now time.Time) (first bool, err error) {
	err = s.do(ctx, func(t *tx) error {
		first = false
		return t.later(`UPDATE requests SET pinged = 1,
				due_at = CASE WHEN state = 'waiting' AND asking = 0 AND fallback_ms > 0 AND due_at > $1 THEN $1 ELSE due_at END
			WHERE device = $2 AND id = $3 AND state IN ('ringing', 'waiting') AND pinged = 0 RETURNING device`,
			[]any{s.ms(now), k.Device, k.ID[:]}, func(row) error {
				first = true
				return nil
			})
	})
	return first, err
}

// ClaimPolls takes up to n sign-ins whose poll is due and puts them off until
// lease, by when the poll must have ended. Poll.Lost is set where an earlier
// poll was never heard of again.
func (s *Store) ClaimPolls(ctx context.Context, now, lease time.Time, n int) ([]Request, error) {
	return s.claim(ctx, Waiting, "due_at <= $1",
		"due_at = $3, lost = CASE WHEN asking = 1 THEN 1 ELSE lost END, asking = 1", s.ms(now), n, s.ms(lease))
}

// polled puts requests back that were claimed for a poll.
var polled = bulk{
	columns: []column{
		{"device", "TEXT"}, {"id", bytes}, {"lease", "BIGINT"}, {"due_pinged", "BIGINT"}, {"due_next", "BIGINT"},
		{"interval_ms", "BIGINT"}, {"failures", "BIGINT"}, {"lost", "BIGINT"},
	},
	change: `due_at = CASE WHEN pinged = 1 THEN v.due_pinged ELSE v.due_next END,
		interval_ms = v.interval_ms, failures = v.failures, lost = v.lost, asking = 0`,
	where: "state || '' = 'waiting' AND due_at = v.lease", // see rang
}

// Polled records that a poll brought nothing yet: the next is due as poll says,
// or as it says after a ping if one came during this poll. It reports whether
// the claim still held.
func (s *Store) Polled(ctx context.Context, r Request, poll ciba.Poll, now time.Time) (bool, error) {
	lost := 0
	if poll.Lost {
		lost = 1
	}
	return s.doRow(ctx, &polled, r.Key, r.lease, s.ms(poll.AfterPing(now).Due), s.ms(poll.Due),
		poll.Interval.Milliseconds(), poll.Failures, lost)
}

// ClaimRinging takes up to n sign-ins of which the provider should have been
// heard long ago, and puts them off until lease. Whoever was to ring is dead.
func (s *Store) ClaimRinging(ctx context.Context, now, lease time.Time, n int) ([]Request, error) {
	return s.claim(ctx, Ringing, "due_at <= $1", "due_at = $3", s.ms(now), n, s.ms(lease))
}

// TakeOver makes due what a dead process has left half done: what it was about
// to ring or to renew at once, what it was polling after one interval. It is
// called before work begins. The lock on an SQLite file proves that the process
// is dead; where other bridges may be alive, nothing is touched, and claims run
// out.
func (s *Store) TakeOver(ctx context.Context, now time.Time) error {
	if !s.alone {
		return nil
	}
	return s.do(ctx, func(t *tx) error {
		if _, err := t.exec("UPDATE requests SET due_at = $1 WHERE state IN ('ringing', 'renewing')", s.ms(now)); err != nil {
			return err
		}
		_, err := t.exec("UPDATE requests SET due_at = $1 + interval_ms, lost = 1, asking = 0 WHERE state = 'waiting' AND asking = 1", s.ms(now))
		return err
	})
}
