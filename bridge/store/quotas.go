package store

import (
	"time"

	"github.com/carillon-iot/carillon/bridge/policy"
)

// A Quota is a bucket from which the push takes one.
type Quota struct {
	Name string // of the bucket
	Rate policy.Rate
}

// spend takes one from each bucket, or nothing and says which is empty.
func (t *tx) spend(quotas []Quota, now time.Time) (Begun, error) {
	full := make([]time.Time, len(quotas))
	for i, q := range quotas { // look first: most that is refused then writes nothing
		wait, err := t.look(q, now, &full[i])
		if wait > 0 || err != nil {
			return Begun{Verdict: OverQuota, Wait: wait, Quota: q.Name}, err
		}
	}
	for i, q := range quotas {
		wait, err := t.take(q, now, full[i])
		if err != nil {
			return Begun{}, err
		}
		if wait > 0 { // since we looked, another bridge has taken the last one
			return Begun{Verdict: OverQuota, Wait: wait, Quota: q.Name}, t.giveBack(quotas[:i])
		}
	}
	return Begun{}, nil
}

// look reads when a bucket is full again, and returns how long to wait for one.
func (t *tx) look(q Quota, now time.Time, full *time.Time) (time.Duration, error) {
	if q.Rate.Unlimited() {
		return 0, nil
	}
	var was int64
	if _, err := t.get("SELECT full_at FROM quotas WHERE name = $1", []any{q.Name}, &was); err != nil {
		return 0, err
	}
	*full = t.at(was)
	next, wait := q.Rate.Take(*full, now)
	if wait > 0 && next.Before(*full) { // or it would be as far ahead for ever
		_, err := t.swap(q, *full, next)
		return wait, err
	}
	return wait, nil
}

// take takes one from a bucket that was full again at an instant, or whatever it
// is now, and returns how long to wait if there is none.
func (t *tx) take(q Quota, now, full time.Time) (time.Duration, error) {
	if q.Rate.Unlimited() {
		return 0, nil
	}
	for {
		next, wait := q.Rate.Take(full, now)
		if wait > 0 {
			return wait, nil
		}
		// Whether it was swapped or not, nobody else changes it now.
		if swapped, err := t.swap(q, full, next); swapped || err != nil {
			return 0, err
		}
		if wait, err := t.look(q, now, &full); wait > 0 || err != nil {
			return wait, err
		}
	}
}

// swap sets when a bucket is full again, if it is as it was.
func (t *tx) swap(q Quota, was, full time.Time) (bool, error) {
	n, err := t.exec(`INSERT INTO quotas (name, full_at) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET full_at = excluded.full_at WHERE quotas.full_at = $3`, q.Name, t.ms(full), t.ms(was))
	return n == 1, err
}

// giveBack undoes what was taken. A bucket that is full again has no row.
func (t *tx) giveBack(quotas []Quota) error {
	for _, q := range quotas {
		if q.Rate.Unlimited() {
			continue
		}
		if _, err := t.exec("UPDATE quotas SET full_at = full_at - $1 WHERE name = $2", q.Rate.Every.Milliseconds(), q.Name); err != nil {
			return err
		}
	}
	return nil
}
