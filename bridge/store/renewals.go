package store

import (
	"context"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// A RenewalStart is a renewal that is about to be sent to the provider.
type RenewalStart struct {
	Key              // of the request
	Session  Session // as it was read
	Now      time.Time
	Due      time.Time // when the provider must have answered
	Deadline time.Time // when the device must have been
	Quotas   []Quota
	Provider string // that is to renew
	Renewing int    // how many may be renewed at the same time, at all bridges together; 0 for any number
}

// BeginRenewal stores a request as Renewing, makes it the only one that spends
// the session's refresh token, and takes from its quotas; or it changes nothing
// and says why. The session must still be as it was read: otherwise somebody
// else has renewed it, renews it, or has ended it.
func (s *Store) BeginRenewal(ctx context.Context, st RenewalStart) (b Begun, err error) {
	err = s.submit(ctx, &write{turn: true, change: func(t *tx) (err error) {
		b, err = t.beginRenewal(st)
		return err
	}})
	return b, err
}

func (t *tx) beginRenewal(st RenewalStart) (Begun, error) {
	if err := t.inTurn([]string{st.Provider}); err != nil {
		return Begun{}, err
	}
	l, err := t.ledger(st.Quotas)
	if err != nil {
		return Begun{}, err
	}
	b, provider, err := t.placeFor(st)
	if err != nil || b.Verdict != 0 {
		return b, err
	}
	if b := l.take(st.Quotas, st.Now); b.Verdict != 0 {
		return b, l.save()
	}
	if b, err := t.hold(st, provider); err != nil || b.Verdict != 0 {
		return b, err
	}
	if err := l.save(); err != nil {
		return Begun{}, err
	}
	n, err := t.exec(`INSERT INTO requests (device, id, state, due_at, deadline) VALUES ($1, $2, 'renewing', $3, $4) ON CONFLICT DO NOTHING`,
		st.Device, st.ID[:], t.ms(st.Due), t.ms(st.Deadline))
	if err == nil && n == 0 { // another bridge was faster
		err = errContended
	}
	if err == nil {
		err = l.complete()
	}
	if err != nil {
		return Begun{}, err
	}
	// Whoever renews a session has its grant, whether the receipt arrived or not.
	err = t.receiveAll([]*receipt{{Key: Key{st.Device, st.Session.ID}, now: st.Now}})
	return Begun{Verdict: Started, Failed: provider.failures > 0}, err
}

// hold makes a renewal the only one of its session, and lets it through the
// provider's circuit; or it says why not, and holds nothing.
func (t *tx) hold(st RenewalStart, c circuit) (Begun, error) {
	n, err := t.exec("UPDATE sessions SET renewing = $1 WHERE device = $2 AND id = $3 AND renewing IS NULL AND renewal = $4",
		st.ID[:], st.Device, st.Session.ID[:], st.Session.sealed)
	if err != nil {
		return Begun{}, err
	}
	if n == 0 {
		return Begun{Verdict: SessionBusy}, nil
	}
	passed, err := t.pass(st.Provider, st.Due, c)
	if err != nil || passed {
		return Begun{}, err
	}
	_, err = t.exec("UPDATE sessions SET renewing = NULL WHERE device = $1 AND renewing = $2", st.Device, st.ID[:])
	return Begun{Verdict: ProviderDown, Wait: time.Second}, err
}

// placeFor returns the zero Begun if there is room for a request of that name,
// on the device and at the provider, and the provider answers, as far as is known.
func (t *tx) placeFor(st RenewalStart) (Begun, circuit, error) {
	var known, all, renewing int
	var c circuit
	_, err := t.get(`SELECT
			(SELECT count(*) FROM requests WHERE device = $1 AND id = $2),
			(SELECT count(*) FROM requests WHERE device = $1),
			(SELECT count(*) FROM requests WHERE state = 'renewing'),
			COALESCE((SELECT failures FROM circuits WHERE provider = $3), 0),
			COALESCE((SELECT shut_until FROM circuits WHERE provider = $3), 0)`,
		[]any{st.Device, st.ID[:], st.Provider}, &known, &all, &renewing, &c.failures, &c.until)
	switch {
	case err != nil:
		return Begun{}, c, err
	case known > 0:
		return Begun{Verdict: Known}, c, nil
	case all >= MaxPerDevice:
		return Begun{Verdict: TooMany, Wait: 10 * time.Second}, c, nil
	case st.Renewing > 0 && renewing >= st.Renewing:
		return Begun{Verdict: ProviderBusy, Wait: time.Second}, c, nil
	case c.until > t.ms(st.Now):
		return Begun{Verdict: ProviderDown, Wait: t.at(c.until).Sub(st.Now)}, c, nil
	}
	return Begun{}, c, nil
}

// A Renewed is a session with new tokens.
type Renewed struct {
	Session Session
	Renewal Renewal        // replaces the one that was spent
	Handle  schemas.Handle // by which the device may call the person from now on
	Expires time.Time      // of the access token
}

// Renewed ends a renewal with a grant: what renews the session next replaces
// what was spent, in the step that stores the answer. It reports whether it did;
// if not, the session was ended meanwhile, or the renewal was, and nothing is
// stored.
func (s *Store) Renewed(ctx context.Context, e Ending, r Renewed) (done bool, err error) {
	sealed, err := s.sealRenewal(r.Session.Key, &r.Renewal)
	if err != nil {
		return false, err
	}
	err = s.do(ctx, func(t *tx) error {
		done = false
		return t.renewed(e, r, sealed, &done)
	})
	return done, err
}

func (t *tx) renewed(e Ending, r Renewed, sealed []byte, done *bool) error {
	// All of this must be there, and stay until the end of the transaction.
	for _, held := range []struct {
		query string
		args  []any
	}{
		{"UPDATE requests SET due_at = due_at WHERE device = $1 AND id = $2 AND state = 'renewing'", e.where()},
		{"UPDATE sessions SET renewing = renewing WHERE device = $1 AND renewing = $2", e.where()},
		{"UPDATE pairings SET used_at = $4 WHERE device = $1 AND issuer = $2 AND subject = $3",
			[]any{e.Device, r.Session.Issuer, r.Session.Subject, t.ms(e.Now)}},
	} {
		if n, err := t.exec(held.query, held.args...); err != nil || n == 0 {
			return err
		}
	}
	if _, err := t.end(e, "= 'renewing'"); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE sessions SET renewal = $1, renewing = NULL, expires_at = CASE WHEN expires_at < $2 THEN $2 ELSE expires_at END
		WHERE device = $3 AND renewing = $4`, sealed, t.ms(r.Expires), e.Device, e.ID[:])
	if err != nil {
		return err
	}
	*done = true
	p := Pairing{Device: e.Device, Issuer: r.Session.Issuer, Subject: r.Session.Subject}
	return t.mint([][]any{t.handle(e, p, r.Handle)})
}

// RenewalPutOff ends a renewal that has spent nothing: the session stays as it
// is. It reports whether it did.
func (s *Store) RenewalPutOff(ctx context.Context, e Ending) (ended bool, err error) {
	err = s.do(ctx, func(t *tx) (err error) {
		if ended, err = t.end(e, "= 'renewing'"); err != nil || !ended {
			return err
		}
		_, err = t.exec("UPDATE sessions SET renewing = NULL WHERE device = $1 AND renewing = $2", e.Device, e.ID[:])
		return err
	})
	return ended, err
}

// RenewalFailed ends a renewal together with its session, of which nobody knows
// whether it can be renewed once more. It reports whether it did.
func (s *Store) RenewalFailed(ctx context.Context, e Ending) (ended bool, err error) {
	err = s.do(ctx, func(t *tx) (err error) {
		if ended, err = t.end(e, "= 'renewing'"); err != nil || !ended {
			return err
		}
		_, err = t.endSessions(e.Now, "DELETE FROM sessions WHERE device = $1 AND renewing = $2", e.Device, e.ID[:])
		return err
	})
	return ended, err
}

// ClaimRenewing takes up to n renewals of which the provider should have been
// heard long ago, and puts them off until lease. Whoever has sent them is dead.
func (s *Store) ClaimRenewing(ctx context.Context, now, lease time.Time, n int) ([]Request, error) {
	return s.claim(ctx, Renewing, "due_at <= $1", "due_at = $3", s.ms(now), n, s.ms(lease))
}
