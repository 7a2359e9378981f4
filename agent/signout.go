package agent

import (
	"context"
	"fmt"
	"slices"

	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/schemas"
)

// SignOut ends sessions here at once: settings restored, tokens forgotten. It
// is repeated to the bridge until that confirms. It returns the sessions that
// it has ended; with All and Person there may be none, and the bridge is asked
// all the same. Errors: ErrInvalid, ErrUnknown, ErrFull, ErrStore (signed out
// here, but a restart may lose that), ErrStopped.
func (a *Agent) SignOut(ctx context.Context, t Target) (ids []schemas.ID, err error) {
	err = a.do(ctx, func() error {
		out, err := a.aim(t)
		if err != nil {
			return err
		}
		err = a.openSignOut(out)
		gone, _ := a.leave("signed out", func(s *session) bool { return a.covers(out, s) }, nil)
		for _, s := range gone {
			ids = append(ids, schemas.ID(s.ID))
		}
		return err
	})
	return ids, err
}

// aim turns a target into what a sign-out says.
func (a *Agent) aim(t Target) (*outbox.SignOut, error) {
	var said []string
	for name, is := range map[string]bool{"session": t.Session != schemas.ID{}, "person": t.Person != "", "seat": t.Seat != 0, "all": t.All} {
		if is {
			said = append(said, name)
		}
	}
	if len(said) != 1 {
		slices.Sort(said)
		return nil, fmt.Errorf("%w: sign-out of %q, want exactly one of session, person, seat, all", ErrInvalid, said)
	}
	switch {
	case t.All:
		return &outbox.SignOut{All: true}, nil
	case t.Person != "":
		p, err := a.state.People.Find(t.Person)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		h := schemas.Handle(p.Handle)
		return &outbox.SignOut{Person: &h}, nil
	case t.Seat != 0:
		s := a.state.seat(t.Seat)
		if s == nil {
			return nil, fmt.Errorf("%w: nobody is signed in on seat %d", ErrUnknown, t.Seat)
		}
		t.Session = schemas.ID(s.ID)
	}
	if a.state.session(t.Session) == nil {
		return nil, fmt.Errorf("%w: session %v", ErrUnknown, t.Session)
	}
	return &outbox.SignOut{Sessions: []schemas.ID{t.Session}}, nil
}

// covers reports whether a sign-out means a session.
func (a *Agent) covers(out *outbox.SignOut, s *session) bool {
	if out.Person != nil {
		p, ok := a.state.People.ByHandle(*out.Person)
		return ok && p.Number == s.Person
	}
	return out.All || slices.Contains(out.Sessions, schemas.ID(s.ID))
}

// openSignOut makes the bridge be told, unless it is being told the same.
func (a *Agent) openSignOut(out *outbox.SignOut) error {
	for _, r := range a.requests {
		if o := r.entry.SignOut; o != nil && o.All == out.All && slices.Equal(o.Sessions, out.Sessions) &&
			(o.Person == nil) == (out.Person == nil) && (o.Person == nil || *o.Person == *out.Person) {
			return nil
		}
	}
	_, err := a.open(&outbox.Entry{ID: schemas.NewID(), SignOut: out})
	return err
}

// disown ends a session at the bridge that is none here, or will not be. It
// reports whether that is stored.
func (a *Agent) disown(id schemas.ID) bool {
	if a.disowning(id) {
		return true
	}
	if err := a.openSignOut(&outbox.SignOut{Sessions: []schemas.ID{id}}); err != nil {
		a.log.Error("cannot sign out at the bridge", "session", id, "error", err)
		return false
	}
	return true
}

func (a *Agent) disowning(id schemas.ID) bool {
	for _, r := range a.requests {
		if r.entry.SignOut != nil && slices.Contains(r.entry.SignOut.Sessions, id) {
			return true
		}
	}
	return false
}

// signedOut ends a sign-out that the bridge has answered.
func (a *Agent) signedOut(r *request) {
	a.note("a sign-out", func(st *state) {
		st.follow(r.entry.ID)
		for _, id := range r.entry.SignOut.Sessions {
			e := ended{ID: outbox.HexID(id), State: StateUnknown}
			if known := st.ended(id); known != nil {
				e = *known
			}
			e.Disowned = true
			st.end(e)
		}
	})
	a.log.Info("the bridge has signed out", "request", r.entry.ID)
	a.forget(r.entry.ID)
}
