package agent

import (
	"context"
	"slices"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// Status returns everything the agent knows. It never blocks.
func (a *Agent) Status() Status {
	s := *a.status.Load()
	s.SignIns, s.Sessions = slices.Clone(s.SignIns), slices.Clone(s.Sessions)
	for i := range s.SignIns {
		s.SignIns[i].ExpiresIn = left(s.SignIns[i].expires)
	}
	for i := range s.Sessions {
		s.Sessions[i].ExpiresIn = left(s.Sessions[i].expires)
	}
	return s
}

// left is the time until t in whole seconds, as in a message; 0 for none.
func left(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(time.Until(t).Round(time.Second), 0)
}

// Watch returns a channel of events, closed when ctx ends or Run returns. A
// watcher that is too slow loses the oldest events, never the latest. Events
// before the call are not repeated: read Status after it.
func (a *Agent) Watch(ctx context.Context) <-chan Event { return a.hub.watch(ctx) }

// emit tells the watchers of a change; Status shows it already.
func (a *Agent) emit(e Event) {
	a.dirty = true
	a.publishStatus()
	a.hub.emit(e)
}

// changed tells of a change of an open sign-in.
func (a *Agent) changed(r *request) { a.emit(Event{SignIn: r.signIn()}) }

// publishStatus renews what Status returns, if anything has changed.
func (a *Agent) publishStatus() {
	if !a.dirty {
		return
	}
	a.dirty = false
	s := Status{
		Device: a.device, Connected: a.connected, Introduced: a.bridges != nil && !a.hello.needed,
		Offset: a.clock.Offset(),
	}
	for i := range a.state.Ended {
		if e := &a.state.Ended[i]; e.Scope != "" { // not one that only a late grant told of
			s.SignIns = append(s.SignIns, *e.signIn())
		}
	}
	for _, r := range a.ordered() {
		if r.entry.SignIn != nil {
			s.SignIns = append(s.SignIns, *r.signIn())
		}
	}
	for i := range a.state.Sessions {
		x := &a.state.Sessions[i]
		s.Sessions = append(s.Sessions, *x.session(a.live[schemas.ID(x.ID)]))
	}
	for _, p := range a.state.People.People {
		s.People = append(s.People, Person{p.Number, p.Name})
	}
	a.status.Store(&s)
}

func (r *request) signIn() *SignIn {
	s := &SignIn{ID: r.entry.ID, State: r.state, Seat: r.entry.SignIn.Seat, Scope: r.entry.SignIn.Scope}
	if r.state == StateRinging {
		s.Binding, s.expires, s.ExpiresIn = r.binding, r.deadline, left(r.deadline)
	}
	return s
}

func (e *ended) signIn() *SignIn {
	return &SignIn{
		ID: schemas.ID(e.ID), State: e.State, Seat: e.Seat, Scope: e.Scope,
		Code: e.Code, RetryAfter: time.Duration(e.RetryAfter) * time.Second,
	}
}

func (s *session) session(l *live) *Session {
	x := &Session{
		ID: schemas.ID(s.ID), Person: s.Person, Name: s.Name, Seat: s.Seat, Scope: s.Scope,
		Renewable: s.Renewable, RingAgain: s.RingAgain, Code: s.Code, Settings: s.Settings, Problem: s.Problem,
		Applied: s.Report.Applied, Held: s.Report.Held, Skipped: s.Report.Skipped,
	}
	if l != nil && s.Token != nil {
		x.expires, x.ExpiresIn = l.expires, left(l.expires)
	}
	return x
}
