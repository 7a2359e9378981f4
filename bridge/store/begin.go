package store

import (
	"context"
	"time"

	"github.com/carillon-iot/carillon/bridge/policy"
)

// MaxPerDevice is how many requests of one device are kept at the same time,
// whatever their state.
const MaxPerDevice = 256

// A Start is a sign-in that is about to ring.
type Start struct {
	Key
	Person   Person
	Now      time.Time
	Due      time.Time // when the provider must have answered
	Deadline time.Time // when the person must have answered
	Details  Details
	Quotas   []Quota
}

// A Quota is a bucket from which the push takes one.
type Quota struct {
	Name string // of the bucket
	Rate policy.Rate
}

// A Verdict is what Begin found.
type Verdict uint8

// The verdicts.
const (
	Started     Verdict = iota + 1 // the row is stored: ring now
	Known                          // there is a request of that name
	PersonBusy                     // another request rings for the person, for Wait
	CoolingDown                    // the person said no on this device, not long ago
	OverQuota                      // the bucket Quota is empty
	TooMany                        // MaxPerDevice
)

// Begun is the answer of Begin.
type Begun struct {
	Verdict Verdict
	Wait    time.Duration // until it would be answered otherwise
	Quota   string
}

// Begin stores a sign-in as Ringing and takes from its quotas, or changes
// nothing and says why.
func (s *Store) Begin(ctx context.Context, st Start) (b Begun, err error) {
	details, err := s.sealDetails(st.Key, st.Details)
	if err != nil {
		return Begun{}, err
	}
	err = s.do(ctx, func(t *tx) (err error) {
		b, err = t.begin(st, details)
		return err
	})
	return b, err
}

func (t *tx) begin(st Start, details []byte) (Begun, error) {
	if b, err := t.admissible(st); err != nil || b.Verdict != 0 {
		return b, err
	}
	full := make([]time.Time, len(st.Quotas))
	for i, q := range st.Quotas {
		wait, err := t.take(q, st.Now, &full[i])
		if err != nil {
			return Begun{}, err
		}
		if wait > 0 {
			return Begun{OverQuota, wait, q.Name}, nil
		}
	}
	n, err := t.exec(`INSERT INTO requests (device, id, state, person, due_at, deadline, details)
		VALUES ($1, $2, 'ringing', $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		st.Device, st.ID[:], st.Person[:], ms(st.Due), ms(st.Deadline), details)
	if err != nil {
		return Begun{}, err
	}
	if n == 0 { // another bridge was faster, with this request or this person
		return Begun{Verdict: PersonBusy, Wait: time.Second}, nil
	}
	for i, q := range st.Quotas {
		if err := t.spend(q, full[i]); err != nil {
			return Begun{}, err
		}
	}
	return Begun{Verdict: Started}, nil
}

// admissible returns the zero Begun if nothing but quotas can be in the way.
func (t *tx) admissible(st Start) (Begun, error) {
	var n int
	ok, err := t.get("SELECT 1 FROM requests WHERE device = $1 AND id = $2", []any{st.Device, st.ID[:]}, &n)
	if err != nil || ok {
		return Begun{Verdict: Known}, err
	}
	if _, err := t.get("SELECT count(*) FROM requests WHERE device = $1", []any{st.Device}, &n); err != nil {
		return Begun{}, err
	}
	if n >= MaxPerDevice {
		return Begun{Verdict: TooMany, Wait: 10 * time.Second}, nil
	}
	var until int64
	ok, err = t.get("SELECT deadline FROM requests WHERE person = $1 AND state IN ('ringing', 'waiting')", []any{st.Person[:]}, &until)
	if err != nil {
		return Begun{}, err
	}
	if ok {
		return Begun{Verdict: PersonBusy, Wait: max(at(until).Sub(st.Now), time.Second)}, nil
	}
	ok, err = t.get("SELECT until FROM denials WHERE device = $1 AND person = $2", []any{st.Device, st.Person[:]}, &until)
	if err != nil {
		return Begun{}, err
	}
	if wait := at(until).Sub(st.Now); ok && wait > 0 {
		return Begun{Verdict: CoolingDown, Wait: wait}, nil
	}
	return Begun{}, nil
}

func (t *tx) take(q Quota, now time.Time, full *time.Time) (time.Duration, error) {
	if q.Rate.Unlimited() {
		return 0, nil
	}
	var was int64
	if _, err := t.get("SELECT full_at FROM quotas WHERE name = $1", []any{q.Name}, &was); err != nil {
		return 0, err
	}
	next, wait := q.Rate.Take(at(was), now)
	*full = next
	if wait > 0 && next.Before(at(was)) { // or it would be as far ahead for ever
		return wait, t.spend(q, next)
	}
	return wait, nil
}

func (t *tx) spend(q Quota, full time.Time) error {
	if q.Rate.Unlimited() {
		return nil
	}
	_, err := t.exec("INSERT INTO quotas (name, full_at) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET full_at = excluded.full_at",
		q.Name, ms(full))
	return err
}

// giveBack undoes one spend. A bucket that is full again has no row.
func (t *tx) giveBack(q Quota) error {
	_, err := t.exec("UPDATE quotas SET full_at = full_at - $1 WHERE name = $2", q.Rate.Every.Milliseconds(), q.Name)
	return err
}
