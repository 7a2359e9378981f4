package store

import (
	"context"
	"slices"
	"time"
)

// A circuit is what all bridges together know of a provider that could not
// answer: how often in a row, and until when it is shut, which is to say that
// nobody is rung and nothing renewed. When that time has come, one request is let
// through to try it, and the circuit stays shut for the others until that one's
// answer is known.
type circuit struct {
	failures int
	until    int64 // 0 if it was never shut
}

// Failed counts that a provider could not answer, once more in a row, and shuts
// it for as long as pause says for that many; 0 leaves it open. It returns how
// many there were.
func (s *Store) Failed(ctx context.Context, provider string, now time.Time, pause func(failures int) time.Duration) (failures int, err error) {
	err = s.do(ctx, func(t *tx) error {
		_, err := t.get(`INSERT INTO circuits (provider, failures, shut_until) VALUES ($1, 1, 0)
			ON CONFLICT (provider) DO UPDATE SET failures = circuits.failures + 1 RETURNING failures`, []any{provider}, &failures)
		if err != nil {
			return err
		}
		d := pause(failures)
		if d <= 0 {
			return nil
		}
		_, err = t.exec("UPDATE circuits SET shut_until = $1 WHERE provider = $2", s.ms(now.Add(d)), provider)
		return err
	})
	return failures, err
}

// Answered forgets all failures of a provider.
func (s *Store) Answered(ctx context.Context, provider string) error {
	return s.do(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM circuits WHERE provider = $1", provider)
		return err
	})
}

// pass reports whether a request may go through a circuit. If that was shut and
// its time has come, only one may, until it is due at the latest.
func (t *tx) pass(provider string, due time.Time, c circuit) (bool, error) {
	if c.until == 0 {
		return true, nil
	}
	n, err := t.exec("UPDATE circuits SET shut_until = $1 WHERE provider = $2 AND shut_until = $3", t.ms(due), provider, c.until)
	return n == 1, err
}

// inTurn has transactions in which something begins at these providers follow each
// other. Otherwise two would count the same that ring, and neither the other's.
func (t *tx) inTurn(providers []string) error {
	if t.turn == "" {
		return nil
	}
	for _, p := range slices.Compact(slices.Sorted(slices.Values(providers))) {
		if err := t.later(t.turn, []any{p}, nothing); err != nil {
			return err
		}
	}
	return nil
}
