package agent

import (
	"cmp"
	"math/rand/v2"
	"time"

	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/schemas"
)

const (
	// renewPause is the least time from one token to the wish for the next.
	renewPause = 5 * time.Second
	// wakeSpread is over which time devices that wake together ask for new tokens.
	wakeSpread = 10 * time.Second
)

// renewalAt is when a token is renewed of which left remains: when about two
// thirds of its life are over, a tenth of it spread at random.
func renewalAt(now time.Time, life, left time.Duration) time.Time {
	early := life*3/10 + rand.N(life/10+1)
	if early >= left { // it has been off
		return now.Add(rand.N(wakeSpread))
	}
	return now.Add(max(left-early, renewPause))
}

// renewing reports whether a renewal of the session is open.
func (a *Agent) renewing(session schemas.ID) bool {
	for _, r := range a.requests {
		if r.entry.Renew != nil && r.entry.Renew.Session == session {
			return true
		}
	}
	return false
}

// beginRenewal asks for another token, while the one that there is stays in use.
func (a *Agent) beginRenewal(s *session, l *live) {
	id := schemas.ID(s.ID)
	if !s.Renewable || a.renewing(id) {
		return
	}
	key, err := schemas.GenerateSealKey()
	if err == nil {
		_, err = a.open(&outbox.Entry{ID: schemas.NewID(), Renew: &outbox.Renew{Session: id, Person: s.Person, Key: key}})
	}
	if err != nil {
		a.log.Error("cannot ask for another token, trying again", "session", id, "error", err)
		a.renewLater(l, 0)
		return
	}
	a.log.Info("asking for another token", "session", id)
}

// renewLater puts the next renewal off, for at least so long.
func (a *Agent) renewLater(l *live, least time.Duration) {
	l.renewal = time.Now().Add(max(least, backoff(l.setbacks, slowRepeat)))
	l.setbacks++
}

// renewed takes another token: stored first, then receipted. The session may be
// over meanwhile; the person's new handle is taken all the same.
func (a *Agent) renewed(r *request, m *schemas.Granted) {
	g, err := schemas.OpenGrant(r.entry.Renew.Key, a.device, m.ID, m.Sealed)
	if err != nil {
		a.log.Error("the bridge has signed a grant that does not open", "request", m.ID, "error", err)
		a.renewalEnds(r, func(*session) {}, 0)
		return
	}
	id := r.entry.Renew.Session
	before, known := a.state.People.Number(r.entry.Renew.Person)
	err = a.update(func(st *state) {
		st.renewalOver(m.ID)
		s := st.session(id)
		if s == nil && !known {
			return
		}
		p := before
		if h := schemas.Handle(before.Handle); known {
			p = st.People.Granted(&h, "", g)
		} else {
			p = st.People.Granted(nil, "", g)
		}
		if s != nil {
			s.take(g, p.Number, cmp.Or(p.Name, s.Name), a.clock.Now())
		}
	})
	if err != nil {
		a.log.Error("cannot store another token, waiting for it to come again", "request", m.ID, "error", err)
		return
	}
	a.forget(m.ID)
	a.receipt(m.ID)
	if known {
		a.renamed(schemas.Handle(before.Handle), g.Person)
	}
	if s := a.state.session(id); s != nil {
		a.log.Info("another token", "session", id, "expires_in", g.ExpiresIn, "renewable", g.Renewable)
		a.live[id].renewed(s, time.Now())
		a.emit(Event{Session: s.session(a.live[id])})
	}
}

// take makes a grant the session's.
func (s *session) take(g schemas.Grant, person int, name string, now time.Time) {
	s.Person, s.Name = person, name
	s.Token, s.TokenType, s.Life = g.AccessToken, g.TokenType, int64(g.ExpiresIn)
	s.Expires = now.Unix() + s.Life
	s.Scope = cmp.Or(g.Scope, s.Scope)
	s.Renewable, s.RingAgain, s.Code = g.Renewable, !g.Renewable, 0
	if s.Settings == SettingsFetching {
		s.Problem = ""
	}
}

// renewed goes on with the new token.
func (l *live) renewed(s *session, now time.Time) {
	life := time.Duration(s.Life) * time.Second
	l.expires, l.renewal, l.setbacks = now.Add(life), time.Time{}, 0
	if s.Renewable {
		l.renewal = renewalAt(now, life, life)
	}
	if s.Settings == SettingsFetching && l.cancel == nil {
		l.due = now
	}
}

// notRenewed takes a final refusal. With a time to come back the session is as
// it was; without one it ends with the token that there is, unless the person is
// rung before.
func (a *Agent) notRenewed(r *request, m *schemas.Refused) {
	if m.RetryAfter > 0 {
		a.log.Warn("no other token yet", "session", r.entry.Renew.Session, "code", m.Code, "retry_after", m.RetryAfter)
		a.renewalEnds(r, func(*session) {}, time.Duration(m.RetryAfter)*time.Second)
		return
	}
	a.log.Warn("the session cannot be renewed any more", "session", r.entry.Renew.Session, "code", m.Code)
	a.renewalEnds(r, func(s *session) { s.Renewable, s.RingAgain, s.Code = false, true, m.Code }, 0)
}

// renewalEnds ends a renewal that has brought no token, and puts the next off.
func (a *Agent) renewalEnds(r *request, change func(*session), pause time.Duration) {
	id := r.entry.Renew.Session
	err := a.update(func(st *state) {
		st.renewalOver(r.entry.ID)
		if s := st.session(id); s != nil {
			change(s)
		}
	})
	if err != nil {
		a.log.Error("cannot store the end of a renewal", "request", r.entry.ID, "error", err)
		return // the answer comes again
	}
	a.forget(r.entry.ID)
	a.receipt(r.entry.ID)
	s, l := a.state.session(id), a.live[id]
	if s == nil {
		return
	}
	if s.Renewable {
		a.renewLater(l, pause)
		return
	}
	l.renewal = time.Time{}
	a.emit(Event{Session: s.session(l)})
	if s.Token == nil {
		a.outlived(id)
	}
}

// outlived ends a session whose last token is gone, here and at the bridge.
func (a *Agent) outlived(id schemas.ID) {
	a.disown(id)
	a.leave("its token has expired and there is no other", func(s *session) bool { return schemas.ID(s.ID) == id }, nil)
}

// renamed has the open requests that name a person by a handle which is about to
// be void name them by the new one. A bridge that has a request already does not
// look at what else a repeat says.
func (a *Agent) renamed(old, now schemas.Handle) {
	for _, r := range a.requests {
		var names *schemas.Handle
		switch e := r.entry; {
		case e.SignIn != nil:
			names = e.SignIn.Person
		case e.SignOut != nil:
			names = e.SignOut.Person
		}
		if names == nil || *names != old {
			continue
		}
		*names, r.wire = now, nil
		if err := a.store(r.entry); err != nil {
			a.log.Error("cannot store a new handle", "request", r.entry.ID, "error", err)
		}
	}
}
