package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/schemas"
)

const (
	// firstDelay is the time from the first publication of an answer to the
	// second; it doubles each time, up to maxDelay.
	firstDelay = 2 * time.Second
	maxDelay   = time.Minute

	// Tombstone is how long a request is remembered after its end, so that a copy
	// of it begins nothing: a copy is taken for new while it is fresh.
	Tombstone = schemas.WindowPast + schemas.WindowFuture + time.Minute
)

// ErrTooMany is returned where MaxPerDevice forbids another request.
var ErrTooMany = errors.New("store: too many requests of one device")

// An Ending is the final answer to a request.
type Ending struct {
	Key
	Message []byte    // signed, as it is published
	Outcome string    // in a word
	Now     time.Time // it is due to be published for the second time soon after
	Until   time.Time // delivery is given up
}

func (e Ending) where() []any { return []any{e.Device, e.ID[:]} }

// Reject stores the answer to a request that was never begun. It reports whether
// it did; if not, there is a request of that name.
func (s *Store) Reject(ctx context.Context, e Ending) (stored bool, err error) {
	err = s.do(ctx, func(t *tx) (err error) {
		stored, err = t.insert(e)
		return err
	})
	return stored, err
}

// Refuse ends a request that rings or waits. It reports whether it did. Back are
// the quotas that get back what the request took: it has rung nobody.
func (s *Store) Refuse(ctx context.Context, e Ending, back ...Quota) (ended bool, err error) {
	err = s.do(ctx, func(t *tx) (err error) {
		if ended, err = t.end(e, "IN ('ringing', 'waiting')"); err != nil || !ended {
			return err
		}
		return t.giveBack(back)
	})
	return ended, err
}

// Interrupt ends a request that still rings.
func (s *Store) Interrupt(ctx context.Context, e Ending) (ended bool, err error) {
	err = s.do(ctx, func(t *tx) (err error) {
		ended, err = t.end(e, "= 'ringing'")
		return err
	})
	return ended, err
}

// Withdraw ends a request that rings or waits, or stores the answer to one that
// has not arrived yet, so that it begins nothing when it does.
func (s *Store) Withdraw(ctx context.Context, e Ending) (ended bool, err error) {
	err = s.do(ctx, func(t *tx) (err error) {
		ended, err = t.end(e, "IN ('ringing', 'waiting')")
		if err == nil && !ended {
			ended, err = t.insert(e)
		}
		return err
	})
	return ended, err
}

// Denials returns how often in a row a person has said no on a device.
func (s *Store) Denials(ctx context.Context, d schemas.DeviceID, p Person) (n int, err error) {
	_, err = s.get(ctx, "SELECT count FROM denials WHERE device = $1 AND person = $2", []any{d, p[:]}, &n)
	return n, err
}

// Deny ends a request because the person said no, and counts that.
func (s *Store) Deny(ctx context.Context, e Ending, p Person, c policy.CoolDown) (ended bool, err error) {
	err = s.do(ctx, func(t *tx) (err error) {
		if ended, err = t.end(e, "IN ('ringing', 'waiting')"); err != nil || !ended {
			return err
		}
		var n int
		if _, err := t.get("SELECT count FROM denials WHERE device = $1 AND person = $2", []any{e.Device, p[:]}, &n); err != nil {
			return err
		}
		n++
		_, err = t.exec(`INSERT INTO denials (device, person, count, until) VALUES ($1, $2, $3, $4)
			ON CONFLICT (device, person) DO UPDATE SET count = excluded.count, until = excluded.until`,
			e.Device, p[:], n, s.ms(e.Now.Add(c.After(n))))
		return err
	})
	return ended, err
}

// ending makes an answer of requests whose state fits, which is to say state and
// then fits is true.
func ending(fits string) *bulk {
	return &bulk{
		columns: []column{{"device", "TEXT"}, {"id", bytes}, {"answer", bytes}, {"outcome", "TEXT"}, {"due", "BIGINT"}, {"until", "BIGINT"}, {"again_ms", "BIGINT"}},
		change: `state = 'answered', answer = v.answer, outcome = v.outcome, due_at = v.due, deadline = v.until,
			interval_ms = v.again_ms, details = NULL, person = NULL, asking = 0`,
		where: "state || '' " + fits, // see rang
	}
}

// endAll makes the answers of different requests durable, and returns the keys of
// those whose state fitted.
func (t *tx) endAll(endings []Ending, fits string) (ended map[Key]bool, err error) {
	rows := make([][]any, len(endings))
	for i, e := range endings {
		rows[i] = []any{e.Device, e.ID[:], e.Message, e.Outcome, t.ms(e.Now.Add(firstDelay)), t.ms(e.Until), firstDelay.Milliseconds()}
	}
	ended = make(map[Key]bool)
	end := ending(fits)
	given, args := t.given(end.columns, rows)
	return ended, t.each(given+end.update(), args, func(from row) error {
		k, err := scanKey(from)
		ended[k] = true
		return err
	})
}

// end does so for one, and reports whether its state fitted.
func (t *tx) end(e Ending, fits string) (bool, error) {
	ended, err := t.endAll([]Ending{e}, fits)
	return ended[e.Key], err
}

func (t *tx) insert(e Ending) (bool, error) {
	var n int
	if _, err := t.get("SELECT count(*) FROM requests WHERE device = $1", []any{e.Device}, &n); err != nil {
		return false, err
	}
	if n >= MaxPerDevice {
		return false, ErrTooMany
	}
	rows, err := t.exec(`INSERT INTO requests (device, id, state, answer, outcome, due_at, deadline, interval_ms)
		VALUES ($1, $2, 'answered', $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		append(e.where(), e.Message, e.Outcome, t.ms(e.Now.Add(firstDelay)), t.ms(e.Until), firstDelay.Milliseconds())...)
	return rows == 1, err
}

// ClaimAnswers takes up to n answers that are due to be published again, and
// puts each off for about twice as long as the last time.
func (s *Store) ClaimAnswers(ctx context.Context, now time.Time, n int) ([]Request, error) {
	percent := 100 + rand.IntN(21) // so that what was lost together does not come again together
	return s.claim(ctx, Answered, "due_at <= $1 AND deadline > $1",
		`interval_ms = CASE WHEN interval_ms * 2 < $3 THEN interval_ms * 2 ELSE $3 END,
		due_at = $1 + (CASE WHEN interval_ms * 2 < $3 THEN interval_ms * 2 ELSE $3 END) * $4 / 100`,
		s.ms(now), n, maxDelay.Milliseconds(), percent)
}
