package agent

import (
	"time"

	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/schemas"
)

// A State is how far a sign-in has come.
type State string

// The states. The last five are final.
const (
	StateSending    State = "sending"    // no bridge has answered yet
	StateRinging    State = "ringing"    // the person's phone rings
	StateCancelling State = "cancelling" // withdrawn here, not yet confirmed
	StateGranted    State = "granted"    // the person approved; a session has begun
	StateRefused    State = "refused"    // Code says why
	StateCancelled  State = "cancelled"  // withdrawn
	StateUnsent     State = "unsent"     // given up before anything was sent: nobody was rung
	StateUnknown    State = "unknown"    // given up without an answer: somebody may have been rung
)

// Final reports whether nothing follows.
func (s State) Final() bool {
	switch s {
	case StateSending, StateRinging, StateCancelling:
		return false
	}
	return true
}

// A SignIn is what is known of one sign-in.
type SignIn struct {
	ID         schemas.ID    `json:"id"`
	State      State         `json:"state"`
	Seat       schemas.Seat  `json:"seat,omitempty"`
	Scope      string        `json:"scope"`
	Binding    string        `json:"binding_message,omitempty"` // the same as on the phone
	ExpiresIn  time.Duration `json:"-"`                         // while ringing: how much longer
	Code       schemas.Code  `json:"-"`                         // when refused
	RetryAfter time.Duration `json:"-"`                         // when refused: before the same would be answered otherwise; 0 if not said
}

// A SettingsState is what became of a session's settings.
type SettingsState string

// The states of settings.
const (
	SettingsNone     SettingsState = "none"     // no vehicle, no settings API, or nothing to apply
	SettingsFetching SettingsState = "fetching" // on the way
	SettingsApplied  SettingsState = "applied"  // all of them
	SettingsHeld     SettingsState = "held"     // all but what waits for the vehicle to stand
	SettingsFailed   SettingsState = "failed"   // none of them; Problem says why
)

// A Session is a person who is signed in.
type Session struct {
	ID        schemas.ID      `json:"id"` // of the sign-in that began it
	Person    int             `json:"person"`
	Name      string          `json:"name,omitempty"`
	Seat      schemas.Seat    `json:"seat,omitempty"`
	Scope     string          `json:"scope"` // as granted
	ExpiresIn time.Duration   `json:"-"`     // of the token; 0 when it is gone
	Settings  SettingsState   `json:"settings"`
	Problem   string          `json:"problem,omitempty"`
	Applied   []string        `json:"applied,omitempty"` // paths, translated to the seat
	Held      []string        `json:"held,omitempty"`
	Skipped   []settings.Skip `json:"skipped,omitempty"`
}

// A Person is somebody who can be named in a later sign-in.
type Person struct {
	Number int    `json:"number"` // local to the device, from 1
	Name   string `json:"name,omitempty"`
}

// Status is everything an agent knows, but for secrets.
type Status struct {
	Device    schemas.DeviceID
	Connected bool
	SignIns   []SignIn  // open ones and the latest that ended, oldest first
	Sessions  []Session // by seat
	People    []Person  // by number
}

// An Event says that something has changed; exactly one of the pointers is
// set, and points to the whole of it as it is now.
type Event struct {
	Seq     uint64 // counts up by one; a gap means that older events were lost
	SignIn  *SignIn
	Session *Session
	Ended   *Session // a session that is over
	Link    *Link
}

// Link is the state of the connection to the broker.
type Link struct {
	Connected bool
}
