package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/schemas"
)

// SignIn begins a sign-in and returns its id as soon as it is stored. What
// becomes of it, Status and Watch say. It waits for Run to have begun. Errors:
// ErrInvalid, ErrOpen, ErrUnknown, ErrFull, ErrStore, ErrStopped.
func (a *Agent) SignIn(ctx context.Context, r Request) (id schemas.ID, err error) {
	s, err := a.newSignIn(r)
	if err != nil {
		return schemas.ID{}, err
	}
	if a.cfg.Vehicle != nil {
		s.Moving = settings.Moving(ctx, a.cfg.Vehicle)
	}
	err = a.do(ctx, func() (err error) {
		id, err = a.ask(s, r)
		return err
	})
	return id, err
}

// newSignIn checks what can be checked without knowing any people.
func (a *Agent) newSignIn(r Request) (*outbox.SignIn, error) {
	if r.Expiry%time.Second != 0 || r.Expiry < 0 || r.Expiry > 0xffff*time.Second {
		return nil, fmt.Errorf("%w: expiry is %v, want whole seconds up to %v", ErrInvalid, r.Expiry, 0xffff*time.Second)
	}
	if r.Seat == 0 && a.cfg.Device == schemas.Car {
		r.Seat = 1
	}
	key, err := schemas.GenerateSealKey()
	if err != nil {
		return nil, fmt.Errorf("making a response key: %w", err)
	}
	return &outbox.SignIn{
		Scope: r.Scope, Expiry: uint16(r.Expiry / time.Second), ACR: r.ACR,
		Private: schemas.Private{LoginHint: r.LoginHint, LoginHintToken: r.LoginHintToken, IDTokenHint: r.IDTokenHint, Purpose: r.Purpose},
		Device:  a.cfg.Device, Seat: r.Seat, Key: key,
	}, nil
}

// ask stores a sign-in and makes it due.
func (a *Agent) ask(s *outbox.SignIn, r Request) (schemas.ID, error) {
	if r.Person != "" {
		p, err := a.state.People.Find(r.Person)
		if err != nil {
			return schemas.ID{}, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		h := schemas.Handle(p.Handle)
		s.Person = &h
	}
	for id, other := range a.requests {
		if o := other.entry; o.SignIn != nil && !o.Withdrawn && o.SignIn.Seat == s.Seat {
			return schemas.ID{}, fmt.Errorf("%w: %v for seat %d", ErrOpen, id, s.Seat)
		}
	}
	e := &outbox.Entry{ID: schemas.NewID(), SignIn: s, Lifetime: patience}
	if s.Expiry > 0 {
		e.Lifetime = time.Duration(s.Expiry) * time.Second
	}
	if err := e.Check(); err != nil {
		return schemas.ID{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	opened, err := a.open(e)
	if err != nil {
		return schemas.ID{}, err
	}
	a.log.Info("signing in", "request", e.ID, "scope", s.Scope, "seat", s.Seat)
	a.hello.hurry(time.Now())
	a.hurry = time.Now()
	a.changed(opened)
	return e.ID, nil
}

// open stores a new request and makes it due.
func (a *Agent) open(e *outbox.Entry) (*request, error) {
	if len(a.requests) >= maxOpen {
		return nil, fmt.Errorf("%w: %d", ErrFull, len(a.requests))
	}
	e.Created, e.Sure = a.clock.Now(), a.clock.Sure()
	if err := a.store(e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	r := open(e, time.Now())
	a.requests[e.ID] = r
	return r, nil
}

func (a *Agent) store(e *outbox.Entry) error {
	data, err := e.Encode()
	if err != nil {
		return err
	}
	return a.cfg.Store.Put(recordOf(e.ID), data)
}

// forget deletes a request and, with it, its response key. If that fails, the
// next start does it.
func (a *Agent) forget(id schemas.ID) {
	delete(a.requests, id)
	a.dirty = true
	if err := a.cfg.Store.Delete(recordOf(id)); err != nil {
		a.log.Error("cannot delete a request that is over", "request", id, "error", err)
	}
}

// end ends a request, of a sign-in with the outcome that e says. It reports
// whether that was stored; if not, the request stays open, and its answer will
// come again.
func (a *Agent) end(r *request, e ended) bool {
	if s := r.entry.SignIn; s != nil {
		e.ID, e.Seat, e.Scope = outbox.HexID(r.entry.ID), s.Seat, s.Scope
		err := a.update(func(st *state) {
			st.end(e)
			if e.Code == schemas.UnknownPerson && s.Person != nil {
				st.People.Forget(*s.Person)
			}
		})
		if err != nil {
			a.log.Error("cannot store the end of a sign-in", "request", r.entry.ID, "error", err)
			r.postpone(time.Now())
			return false
		}
		a.log.Info("sign-in ended", "request", r.entry.ID, "outcome", e.State, "code", e.Code)
	}
	a.forget(r.entry.ID)
	if r.entry.SignIn != nil {
		a.emit(Event{SignIn: e.signIn()})
	}
	return true
}

// Cancel withdraws a sign-in. It is over for the driver at once, and repeated
// to the bridge until that confirms. Errors: ErrUnknown, ErrOver, ErrStopped.
func (a *Agent) Cancel(ctx context.Context, id schemas.ID) error {
	return a.do(ctx, func() error {
		r := a.requests[id]
		switch {
		case r != nil && r.entry.SignIn != nil:
			a.withdraw(r)
			return nil
		case a.state.ended(id) != nil:
			return fmt.Errorf("%w: %v", ErrOver, id)
		}
		return fmt.Errorf("%w: sign-in %v", ErrUnknown, id)
	})
}

func (a *Agent) withdraw(r *request) {
	if !r.sent {
		a.end(r, ended{State: StateCancelled})
		return
	}
	if r.entry.Withdrawn {
		return
	}
	now := time.Now()
	r.entry.Withdrawn, r.state = true, StateCancelling
	r.news(now)
	r.giveUp = now.Add(patience)
	if err := a.store(r.entry); err != nil {
		a.log.Error("cannot store that a sign-in is withdrawn", "request", r.entry.ID, "error", err)
	}
	a.changed(r)
}
