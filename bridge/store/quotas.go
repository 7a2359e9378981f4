package store

import (
	"maps"
	"slices"
	"time"

	"github.com/carillon-iot/carillon/bridge/policy"
)

// A Quota is a bucket from which the push takes one.
type Quota struct {
	Name string // of the bucket
	Rate policy.Rate
}

// A ledger has what is in some buckets. Nobody else changes these until the
// transaction ends.
type ledger struct {
	t     *tx
	was   map[string]int64     // full_at as it is stored; buckets that have no row are full
	full  map[string]time.Time // when a bucket that was changed is full again
	saved int                  // rows that were written
}

// ledger has the buckets of quotas read and kept from others. What it returns may
// be used when the next statement has been answered.
func (t *tx) ledger(quotas []Quota) (*ledger, error) {
	l := &ledger{t: t, was: make(map[string]int64), full: make(map[string]time.Time)}
	var names [][]any
	seen := make(map[string]bool)
	for _, q := range quotas {
		if !q.Rate.Unlimited() && !seen[q.Name] {
			seen[q.Name] = true
			names = append(names, []any{q.Name})
		}
	}
	if names == nil {
		return l, nil
	}
	given, args := t.given([]column{{"bucket", "TEXT"}}, names)
	// In an order, so that two who want the same buckets do not wait for each other.
	return l, t.later(given+"SELECT name, full_at FROM quotas WHERE name IN (SELECT bucket FROM v) ORDER BY name"+t.forUpdate, args, func(from row) error {
		var name string
		var full int64
		err := from.Scan(&name, &full)
		l.was[name] = full
		return err
	})
}

// take takes one from each bucket, or nothing and says which is empty.
func (l *ledger) take(quotas []Quota, now time.Time) Begun {
	next := make([]time.Time, len(quotas))
	for i, q := range quotas {
		if q.Rate.Unlimited() {
			continue
		}
		full := l.at(q.Name)
		var wait time.Duration
		next[i], wait = q.Rate.Take(full, now)
		if wait == 0 {
			continue
		}
		if next[i].Before(full) { // or it would be as far ahead for ever
			l.full[q.Name] = next[i]
		}
		return Begun{Verdict: OverQuota, Wait: wait, Quota: q.Name}
	}
	for i, q := range quotas {
		if !q.Rate.Unlimited() {
			l.full[q.Name] = next[i]
		}
	}
	return Begun{}
}

// giveBack undoes take.
func (l *ledger) giveBack(quotas []Quota) {
	for _, q := range quotas {
		if !q.Rate.Unlimited() {
			l.full[q.Name] = l.at(q.Name).Add(-q.Rate.Every)
		}
	}
}

func (l *ledger) at(name string) time.Time {
	if full, ok := l.full[name]; ok {
		return full
	}
	return l.t.at(l.was[name])
}

// save writes what has changed. When the next statement has been answered, saved
// says whether that was all.
func (l *ledger) save() error {
	if len(l.full) == 0 {
		return nil
	}
	var rows [][]any
	for _, name := range slices.Sorted(maps.Keys(l.full)) {
		rows = append(rows, []any{name, l.was[name], l.t.ms(l.full[name])})
	}
	given, args := l.t.given([]column{{"bucket", "TEXT"}, {"was", "BIGINT"}, {"next", "BIGINT"}}, rows)
	return l.t.later(given+`INSERT INTO quotas (name, full_at) SELECT DISTINCT bucket, next FROM v WHERE TRUE
		ON CONFLICT (name) DO UPDATE SET full_at = excluded.full_at WHERE quotas.full_at = (SELECT min(was) FROM v WHERE bucket = excluded.name)
		RETURNING name`, args, func(row) error {
		l.saved++
		return nil
	})
}

// complete returns errContended if another bridge has made a bucket since it was
// looked for: what is not there cannot be kept from others.
func (l *ledger) complete() error {
	if l.saved != len(l.full) {
		return errContended
	}
	return nil
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
