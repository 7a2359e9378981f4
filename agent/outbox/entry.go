package outbox

import (
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// An Entry is one open request: all that is needed to say it again after a
// restart, and to read its answer. Exactly one of SignIn, Renew and SignOut is
// set.
type Entry struct {
	ID      schemas.ID
	SignIn  *SignIn
	Renew   *Renew
	SignOut *SignOut

	// Created is when the request was made, by the best guess of the time;
	// Sure says whether that guess was any good.
	Created time.Time
	Sure    bool
	// Lifetime is how long after Created a sign-in is given up. Whole seconds.
	Lifetime time.Duration
	// Ringing says that a bridge has answered pending: it has the sign-in.
	Ringing bool
	// Withdrawn says that the sign-in was cancelled on the device.
	Withdrawn bool
}

// SignIn is what a sign-in says again each time it is signed.
type SignIn struct {
	Scope   string
	Person  *schemas.Handle
	Private schemas.Private // is sealed when it is signed: the bridge may have changed its key
	Expiry  uint16          // seconds
	ACR     string
	Device  schemas.DeviceKind
	Seat    schemas.Seat
	Moving  bool
	// Key is the response key. This is the only copy: it is gone with the
	// entry.
	Key *schemas.SealKey
}

// Renew is what a renewal says.
type Renew struct {
	Session schemas.ID
	Person  int // local number of whom it is about
	// Key is the response key. This is the only copy: it is gone with the
	// entry.
	Key *schemas.SealKey
}

// SignOut is what a sign-out says. Exactly one field is set.
type SignOut struct {
	Sessions []schemas.ID
	Person   *schemas.Handle
	All      bool
}

// NeedsSealing reports whether Message needs the bridge's key.
func (e *Entry) NeedsSealing() bool {
	return e.SignIn != nil && e.SignIn.Private != (schemas.Private{})
}

// Message returns the request as issued by device d at iat. What is private is
// sealed to the bridge's key, which is not used otherwise.
func (e *Entry) Message(d schemas.DeviceID, iat uint64, bridge schemas.PublicKey) (schemas.Message, error) {
	if e.Renew != nil {
		return &schemas.Renew{ID: e.ID, IssuedAt: iat, Session: e.Renew.Session, ResponseKey: e.Renew.Key.Public()}, nil
	}
	if e.SignOut != nil {
		return &schemas.SignOut{ID: e.ID, IssuedAt: iat, Sessions: e.SignOut.Sessions, Person: e.SignOut.Person, All: e.SignOut.All}, nil
	}
	s := e.SignIn
	m := &schemas.SignIn{
		ID: e.ID, IssuedAt: iat, Scope: s.Scope, Person: s.Person, Expiry: s.Expiry, ACR: s.ACR,
		Device: s.Device, Seat: s.Seat, Moving: s.Moving, ResponseKey: s.Key.Public(),
	}
	if e.NeedsSealing() {
		sealed, err := schemas.SealPrivate(bridge, d, e.ID, s.Private)
		if err != nil {
			return nil, err
		}
		m.Sealed = sealed
	}
	return m, nil
}

// Check reports whether the entry can be said at all. Errors are those of
// package schemas, and name the field.
func (e *Entry) Check() error {
	kinds := 0
	for _, is := range []bool{e.SignIn != nil, e.Renew != nil, e.SignOut != nil} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return fmt.Errorf("entry %v is not exactly one of sign-in, renewal and sign-out", e.ID)
	}
	if e.Renew != nil && e.Renew.Key == nil {
		return fmt.Errorf("entry %v has no response key", e.ID)
	}
	if e.Lifetime < 0 {
		return fmt.Errorf("entry %v has the lifetime %v", e.ID, e.Lifetime)
	}
	var anybody schemas.PublicKey
	if s := e.SignIn; s != nil {
		if s.Key == nil {
			return fmt.Errorf("entry %v has no response key", e.ID)
		}
		if n := s.Private.Hints(); s.Person != nil && n > 0 || s.Person == nil && n != 1 {
			return fmt.Errorf("sign-in names the person by a handle and %d hints, want exactly one", n)
		}
		anybody = s.Key.Public() // sealing to oneself is a check of what is sealed
	}
	m, err := e.Message("any", 1, anybody)
	if err != nil {
		return err
	}
	_, err = schemas.MarshalPayload(m)
	return err
}
