package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/schemas"
)

// live is what is known of a session in this life.
type live struct {
	expires time.Time          // of the token, by the monotonic clock; zero when it is gone
	cancel  context.CancelFunc // ends the fetch under way; nil if none is
	tries   int                // fetches begun
	due     time.Time          // of the next fetch; zero for none

	renewal  time.Time // when to ask for another token; zero for never
	setbacks int       // renewals in a row that brought none
	spurned  bool      // the settings API did not take a token: once is enough to ask for another
}

func (l *live) next() time.Time { return earlier(earlier(l.due, l.expires), l.renewal) }

// begin makes a session of a grant: stored first, then receipted.
func (a *Agent) begin(r *request, g schemas.Grant) {
	id, s := r.entry.ID, r.entry.SignIn
	if old := a.state.seat(s.Seat); old != nil && !a.disown(schemas.ID(old.ID)) {
		return // the grant comes again
	}
	x := session{
		ID: outbox.HexID(id), Seat: s.Seat, Scope: cmp.Or(g.Scope, s.Scope),
		Token: g.AccessToken, TokenType: g.TokenType, Life: int64(g.ExpiresIn), Renewable: g.Renewable,
		Expires:  a.clock.Now().Unix() + int64(g.ExpiresIn),
		Settings: SettingsNone,
	}
	if a.appliesTo(s.Seat) {
		x.Settings = SettingsFetching
	}
	e := ended{ID: x.ID, State: StateGranted, Seat: s.Seat, Scope: x.Scope}
	hint := cmp.Or(s.Private.LoginHint, s.Private.LoginHintToken, s.Private.IDTokenHint)
	var before []session
	err := a.update(func(st *state) {
		p := st.People.Granted(s.Person, hint, g)
		x.Person, x.Name = p.Number, p.Name
		before = st.drop(func(old *session) bool { return old.Seat == s.Seat })
		st.Sessions = append(st.Sessions, x)
		st.end(e)
	})
	if err != nil {
		a.log.Error("cannot store a grant, waiting for it to come again", "request", id, "error", err)
		return
	}
	a.forget(id)
	a.receipt(id)
	a.log.Info("signed in", "request", id, "seat", x.Seat, "person", x.Person, "scope", x.Scope, "expires_in", g.ExpiresIn)
	for _, old := range before {
		a.left(old, "somebody else has signed in on the seat")
	}
	a.emit(Event{SignIn: e.signIn()})
	a.live[id] = a.enliven(&x, time.Now())
	a.emit(Event{Session: x.session(a.live[id])})
	if x.Settings == SettingsNone && len(before) > 0 {
		a.restore(x.Seat)
	}
}

// enliven returns the runtime of a session. How long its token lasts can only
// be said by a clock that is right.
func (a *Agent) enliven(x *session, now time.Time) *live {
	l := &live{}
	if x.Token != nil {
		left := x.Life
		if a.clock.Sure() {
			left = max(min(left, x.Expires-a.clock.Now().Unix()), 0)
		}
		l.expires = now.Add(time.Duration(left) * time.Second)
	}
	switch {
	case x.Renewable && !a.renewing(schemas.ID(x.ID)):
		l.renewal = renewalAt(now, time.Duration(x.Life)*time.Second, l.expires.Sub(now))
	case x.RingAgain && x.Token == nil: // the end could not be stored
		l.expires = now
	}
	if x.Settings == SettingsFetching {
		l.due = now
	}
	return l
}

// stepSession does what is due about a session.
func (a *Agent) stepSession(id schemas.ID, now time.Time) {
	l := a.live[id]
	if l == nil {
		return
	}
	if !l.expires.IsZero() && !now.Before(l.expires) {
		l.expires = time.Time{}
		a.expired(id, l)
	}
	if a.live[id] == nil {
		return
	}
	if !l.renewal.IsZero() && !now.Before(l.renewal) {
		l.renewal = time.Time{}
		a.beginRenewal(a.state.session(id), l)
	}
	if !l.due.IsZero() && !now.Before(l.due) {
		l.due = time.Time{}
		a.fetch(id, l)
	}
}

// expired forgets a token. Where another may come, what waits for it goes on
// waiting.
func (a *Agent) expired(id schemas.ID, l *live) {
	a.log.Info("the token has expired", "session", id)
	if s := a.state.session(id); s != nil && s.RingAgain {
		a.outlived(id)
		return
	}
	a.revise(id, func(s *session) {
		s.Token = nil
		if s.Settings != SettingsFetching {
			return
		}
		l.due = time.Time{}
		if s.Renewable {
			s.Problem = "the token has expired, and another has not come yet"
			return
		}
		s.Settings, s.Problem = SettingsFailed, "the token has expired before the settings could be fetched"
	})
}

// revise changes a session and tells the watchers.
func (a *Agent) revise(id schemas.ID, change func(*session)) {
	if a.state.session(id) == nil {
		return
	}
	a.note("a change of a session", func(st *state) { change(st.session(id)) })
	a.emit(Event{Session: a.state.session(id).session(a.live[id])})
}

// leave forgets sessions and brings back what was there before them, whether
// that can be stored or not. Also, if not nil, is stored in the same step.
func (a *Agent) leave(why string, which func(*session) bool, also func(*state)) (gone []session, stored bool) {
	if also == nil && !slices.ContainsFunc(a.state.Sessions, func(s session) bool { return which(&s) }) {
		return nil, true
	}
	stored = a.note("a sign-out", func(st *state) {
		gone = st.drop(which)
		if also != nil {
			also(st)
		}
	})
	for _, s := range gone {
		a.left(s, why)
		a.restore(s.Seat)
	}
	return gone, stored
}

// left tells of a session that has been dropped from the state.
func (a *Agent) left(s session, why string) {
	id := schemas.ID(s.ID)
	if l := a.live[id]; l != nil && l.cancel != nil {
		l.cancel()
	}
	delete(a.live, id)
	for _, r := range a.requests {
		if r.entry.Renew != nil && r.entry.Renew.Session == id && !r.sent {
			a.forget(r.entry.ID) // what was said is answered, with a new handle perhaps
		}
	}
	s.Token = nil
	a.log.Info("signed out", "session", id, "seat", s.Seat, "person", s.Person, "because", why)
	a.emit(Event{Ended: s.session(nil)})
}

// Token returns the token of a session, for a program that is built on the
// agent, and how long it lasts. It is never written to a log or shown by
// Status. Errors: ErrUnknown where there is no such session, or its token has
// expired; ErrStopped.
func (a *Agent) Token(ctx context.Context, id schemas.ID) (t settings.Token, left time.Duration, err error) {
	err = a.do(ctx, func() error {
		s, l := a.state.session(id), a.live[id]
		if s == nil || l == nil || s.Token == nil {
			return fmt.Errorf("%w: a token of session %v", ErrUnknown, id)
		}
		t = settings.Token{Access: slices.Clone(s.Token), Type: s.TokenType}
		left = time.Until(l.expires)
		return nil
	})
	return t, left, err
}
