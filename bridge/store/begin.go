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
	Provider string // that rings
	Ringing  int    // how many may ring at the same time, at all bridges together; 0 for any number
}

// A Verdict is what Begin found.
type Verdict uint8

// The verdicts.
const (
	Started      Verdict = iota + 1 // the row is stored: ring now
	Known                           // there is a request of that name
	PersonBusy                      // another request rings for the person, for Wait
	CoolingDown                     // the person said no on this device, not long ago
	OverQuota                       // the bucket Quota is empty
	TooMany                         // MaxPerDevice
	SessionBusy                     // another request renews the session, has renewed it or has ended it
	ProviderBusy                    // Start.Ringing
	ProviderDown                    // it could not answer, of late; see Failed
)

// Begun is the answer of Begin.
type Begun struct {
	Verdict Verdict
	Wait    time.Duration // until it would be answered otherwise
	Quota   string
	// Failed says that the provider could not answer the last time: see Answered.
	Failed bool
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
	b, provider, err := t.admissible(st)
	if err != nil || b.Verdict != 0 {
		return b, err
	}
	if b, err := t.spend(st.Quotas, st.Now); err != nil || b.Verdict != 0 {
		return b, err
	}
	if b, err := t.pass(st.Provider, st.Due, provider); err != nil {
		return Begun{}, err
	} else if b.Verdict != 0 {
		return b, t.giveBack(st.Quotas)
	}
	n, err := t.exec(`INSERT INTO requests (device, id, state, person, due_at, deadline, details)
		VALUES ($1, $2, 'ringing', $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		st.Device, st.ID[:], st.Person[:], t.ms(st.Due), t.ms(st.Deadline), details)
	if err != nil {
		return Begun{}, err
	}
	if n == 1 {
		return Begun{Verdict: Started, Failed: provider.failures > 0}, nil
	}
	// Another bridge was faster, with this request or this person.
	if err := t.giveBack(st.Quotas); err != nil {
		return Begun{}, err
	}
	b, _, err = t.admissible(st)
	if err == nil && b.Verdict == 0 {
		b = Begun{Verdict: PersonBusy, Wait: time.Second} // and it is over already
	}
	return b, err
}

// admissible returns the zero Begun if nothing but quotas and the provider's
// circuit can be in the way.
func (t *tx) admissible(st Start) (Begun, circuit, error) {
	var known, all, ringing int
	var deadline, until int64
	var c circuit
	_, err := t.get(`SELECT
			(SELECT count(*) FROM requests WHERE device = $1 AND id = $2),
			(SELECT count(*) FROM requests WHERE device = $1),
			(SELECT count(*) FROM requests WHERE state = 'ringing'),
			COALESCE((SELECT deadline FROM requests WHERE person = $3 AND state IN ('ringing', 'waiting')), 0),
			COALESCE((SELECT until FROM denials WHERE device = $1 AND person = $3), 0),
			COALESCE((SELECT failures FROM circuits WHERE provider = $4), 0),
			COALESCE((SELECT shut_until FROM circuits WHERE provider = $4), 0)`,
		[]any{st.Device, st.ID[:], st.Person[:], st.Provider}, &known, &all, &ringing, &deadline, &until, &c.failures, &c.until)
	switch {
	case err != nil:
		return Begun{}, c, err
	case known > 0:
		return Begun{Verdict: Known}, c, nil
	case all >= MaxPerDevice:
		return Begun{Verdict: TooMany, Wait: 10 * time.Second}, c, nil
	case deadline > 0:
		return Begun{Verdict: PersonBusy, Wait: max(t.at(deadline).Sub(st.Now), time.Second)}, c, nil
	case until > t.ms(st.Now):
		return Begun{Verdict: CoolingDown, Wait: t.at(until).Sub(st.Now)}, c, nil
	case st.Ringing > 0 && ringing >= st.Ringing:
		return Begun{Verdict: ProviderBusy, Wait: time.Second}, c, nil
	case c.until > t.ms(st.Now):
		return Begun{Verdict: ProviderDown, Wait: t.at(c.until).Sub(st.Now)}, c, nil
	}
	return Begun{}, c, nil
}
