package store

import (
	"context"
	"time"
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
	SessionBusy                    // another request renews the session, has renewed it or has ended it
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
	if b, err := t.spend(st.Quotas, st.Now); err != nil || b.Verdict != 0 {
		return b, err
	}
	n, err := t.exec(`INSERT INTO requests (device, id, state, person, due_at, deadline, details)
		VALUES ($1, $2, 'ringing', $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		st.Device, st.ID[:], st.Person[:], ms(st.Due), ms(st.Deadline), details)
	if err != nil {
		return Begun{}, err
	}
	if n == 1 {
		return Begun{Verdict: Started}, nil
	}
	// Another bridge was faster, with this request or this person.
	if err := t.giveBack(st.Quotas); err != nil {
		return Begun{}, err
	}
	b, err := t.admissible(st)
	if err == nil && b.Verdict == 0 {
		b = Begun{Verdict: PersonBusy, Wait: time.Second} // and it is over already
	}
	return b, err
}

// admissible returns the zero Begun if nothing but quotas can be in the way.
func (t *tx) admissible(st Start) (Begun, error) {
	var known, all int
	var deadline, until int64
	_, err := t.get(`SELECT
			(SELECT count(*) FROM requests WHERE device = $1 AND id = $2),
			(SELECT count(*) FROM requests WHERE device = $1),
			COALESCE((SELECT deadline FROM requests WHERE person = $3 AND state IN ('ringing', 'waiting')), 0),
			COALESCE((SELECT until FROM denials WHERE device = $1 AND person = $3), 0)`,
		[]any{st.Device, st.ID[:], st.Person[:]}, &known, &all, &deadline, &until)
	switch {
	case err != nil:
		return Begun{}, err
	case known > 0:
		return Begun{Verdict: Known}, nil
	case all >= MaxPerDevice:
		return Begun{Verdict: TooMany, Wait: 10 * time.Second}, nil
	case deadline > 0:
		return Begun{Verdict: PersonBusy, Wait: max(at(deadline).Sub(st.Now), time.Second)}, nil
	case until > ms(st.Now):
		return Begun{Verdict: CoolingDown, Wait: at(until).Sub(st.Now)}, nil
	}
	return Begun{}, nil
}
