package agent

import (
	"errors"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// Errors of SignIn, Cancel and SignOut that a caller may tell apart.
var (
	ErrInvalid = errors.New("invalid request")              // the caller's fault; the text says what
	ErrOpen    = errors.New("a sign-in is open")            // for this seat
	ErrUnknown = errors.New("not known on this device")     // a person, a session or a request
	ErrOver    = errors.New("the sign-in is over")          // nothing is left to cancel
	ErrFull    = errors.New("too many open requests")       // with more than the store may hold
	ErrStopped = errors.New("the agent is not running")     // Run has returned
	ErrStore   = errors.New("the request cannot be stored") // so it was not begun
)

// A Request asks that a person be rung. Exactly one of Person and the three
// hints says whom.
type Request struct {
	Scope string // what is asked for, RFC 6749 section 3.3, such as "seat climate"

	Person         string // somebody who was signed in on this device before: local number or name
	LoginHint      string // an e-mail address, a telephone number: what the provider takes
	LoginHintToken string
	IDTokenHint    string

	Purpose string        // shown on the phone, such as "12.50 EUR at Till 3"; at most 128 bytes
	Expiry  time.Duration // how long to ring, whole seconds; 0 leaves it to the bridge
	ACR     string        // acr_values (CIBA Core section 7.1), or ""
	Seat    schemas.Seat  // where the person sits; 0 is the driver's seat in a car, no seat elsewhere
}

// A Target says which sessions end: exactly one field is set.
type Target struct {
	Session schemas.ID   // one session
	Person  string       // every session of a person: local number or name
	Seat    schemas.Seat // the session of a seat
	All     bool         // every session
}
