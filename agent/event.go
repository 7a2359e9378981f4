package agent

import (
	"context"
	"sync"
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
	ID         schemas.ID
	State      State
	Seat       schemas.Seat
	Scope      string        // as granted, once it is
	Binding    string        // while ringing: the same text as on the phone, or ""
	ExpiresIn  time.Duration // while ringing: how much longer
	Code       schemas.Code  // when refused
	RetryAfter time.Duration // when refused: before the same would be answered otherwise; 0 if not said

	expires time.Time // on the monotonic clock
}

// A SettingsState is what became of a session's settings.
type SettingsState string

// The states of settings.
const (
	SettingsNone     SettingsState = "none"     // nothing to apply, or nothing to apply it to
	SettingsFetching SettingsState = "fetching" // on the way; Problem says what delays them
	SettingsApplied  SettingsState = "applied"  // all of them
	SettingsHeld     SettingsState = "held"     // all but what waits for the vehicle to stand
	SettingsFailed   SettingsState = "failed"   // none of them; Problem says why
)

// A Session is a person who is signed in.
type Session struct {
	ID        schemas.ID // of the sign-in that began it
	Person    int        // local number
	Name      string     // to greet with, or ""
	Seat      schemas.Seat
	Scope     string        // as granted
	ExpiresIn time.Duration // of the token; 0 when it is gone
	Renewable bool          // another token follows this one, without anybody being rung
	RingAgain bool          // that is over: the session ends with its token, unless the person is rung before
	Code      schemas.Code  // why, if the bridge has said; else 0
	Settings  SettingsState
	Problem   string          // why settings are late, or failed
	Applied   []string        // paths that were set, of the person's seat
	Held      []string        // paths that wait for the vehicle to stand
	Skipped   []settings.Skip // paths of the document that were left out

	expires time.Time // on the monotonic clock
}

// A Person is somebody who can be named in a later sign-in.
type Person struct {
	Number int    // local to the device, from 1
	Name   string // as the last grant said, or ""
}

// Status is everything an agent knows, but for secrets. It may be read
// concurrently, and not changed.
type Status struct {
	Device     schemas.DeviceID
	Connected  bool          // to the broker
	Introduced bool          // the bridge is known, and knows the device
	Offset     time.Duration // of the machine's clock, as far as is known
	SignIns    []SignIn      // the latest that ended, then the open ones; oldest first
	Sessions   []Session     // in the order in which they began
	People     []Person      // by number
}

// An Event says that something has changed; exactly one of the pointers is
// set, and points to the whole of it as it is now.
type Event struct {
	Seq     uint64 // counts up by one; a gap means that older events were lost
	SignIn  *SignIn
	Session *Session // begun or changed
	Ended   *Session // over; what it has set comes back now
	Seat    *Seat
	Link    *Link
}

// Seat is a seat that has been set back to what it was before anybody's
// settings, or to the guest's.
type Seat struct {
	Seat    schemas.Seat
	Held    []string // paths that wait for the vehicle to stand, or to take them
	Problem string   // what the vehicle does not take, or ""
}

// Link is the state of the connection to the broker.
type Link struct {
	Connected bool
}

// watchBuffer is how many events a watcher may be behind.
const watchBuffer = 64

// hub hands events to watchers.
type hub struct {
	mu       sync.Mutex // guards the fields below; held by whoever sends, so that one alone does
	seq      uint64
	watchers map[chan Event]struct{}
	closed   bool
}

func (h *hub) emit(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	e.Seq = h.seq
	for w := range h.watchers {
		for {
			select {
			case w <- e:
			default:
				select {
				case <-w: // the oldest makes room
				default:
				}
				continue
			}
			break
		}
	}
}

func (h *hub) watch(ctx context.Context) <-chan Event {
	w := make(chan Event, watchBuffer)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(w)
		return w
	}
	if h.watchers == nil {
		h.watchers = map[chan Event]struct{}{}
	}
	h.watchers[w] = struct{}{}
	context.AfterFunc(ctx, func() { h.remove(w) })
	return w
}

func (h *hub) remove(w chan Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.watchers[w]; ok {
		delete(h.watchers, w)
		close(w)
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for w := range h.watchers {
		delete(h.watchers, w)
		close(w)
	}
}
