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
	ProviderBusy                    // Start.Ringing, RenewalStart.Renewing
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
func (s *Store) Begin(ctx context.Context, st Start) (Begun, error) {
	details, err := s.sealDetails(st.Key, st.Details)
	if err != nil {
		return Begun{}, err
	}
	b := &beginning{Start: st, details: details}
	if err := s.submit(ctx, &write{of: &beginnings, item: b, turn: true}); err != nil {
		return Begun{}, err
	}
	return b.Begun, nil
}

// A beginning is a sign-in that begins together with others.
type beginning struct {
	Start
	details []byte // sealed
	found   found
	Begun
}

var beginnings = kind[beginning]{(*tx).beginAll}

func (t *tx) beginAll(all []*beginning) error {
	var quotas []Quota
	var providers []string
	for _, b := range all {
		quotas, providers = append(quotas, b.Quotas...), append(providers, b.Provider)
	}
	if err := t.inTurn(providers); err != nil {
		return err
	}
	l, err := t.ledger(quotas)
	if err != nil {
		return err
	}
	d, err := t.doorman(all, l)
	if err != nil {
		return err
	}
	var started []*beginning
	for _, b := range all {
		if b.Begun, err = d.admit(b); err != nil {
			return err
		}
		if b.Verdict == Started {
			started = append(started, b)
		}
	}
	if err := l.save(); err != nil || len(started) == 0 {
		return err
	}
	if err := t.insertRinging(started); err != nil {
		return err
	}
	return l.complete()
}

// insertRinging stores sign-ins, all of them: where another bridge was faster, with
// one of the requests or persons, it returns errContended.
func (t *tx) insertRinging(started []*beginning) error {
	rows := make([][]any, len(started))
	for i, b := range started {
		rows[i] = []any{b.Device, b.ID[:], b.Person[:], t.ms(b.Due), t.ms(b.Deadline), b.details}
	}
	given, args := t.given([]column{{"d", "TEXT"}, {"i", bytes}, {"p", bytes}, {"due", "BIGINT"}, {"until", "BIGINT"}, {"sealed", bytes}}, rows)
	stored := 0
	err := t.each(given+`INSERT INTO requests (device, id, state, person, due_at, deadline, details)
		SELECT DISTINCT d, i, 'ringing', p, due, until, sealed FROM v WHERE TRUE ON CONFLICT DO NOTHING RETURNING device`, args, func(row) error {
		stored++
		return nil
	})
	if err == nil && stored != len(started) {
		err = errContended
	}
	return err
}
