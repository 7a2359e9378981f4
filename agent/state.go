package agent

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/carillon-iot/carillon/agent/clock"
	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/agent/people"
	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/schemas"
)

// Names of records in the store. Seats have one each besides, see package
// settings.
const (
	recordState   = "state"
	recordWelcome = "welcome" // the last welcome that bore a chain, as it arrived
	requestPrefix = "request-"
)

func recordOf(id schemas.ID) string { return requestPrefix + id.String() }

// stateVersion is the layout of the state's record.
const stateVersion = 1

// maxEnded is how many ended sign-ins are remembered: so long a late answer is
// recognized, and shown to whoever asks. maxRenewals and maxRevoked are the same
// of renewals and revocations.
const (
	maxEnded    = 32
	maxRenewals = 16
	maxRevoked  = 64
)

// state is what an agent knows besides its open requests and the bridges. It
// is one record, so that a grant and all that it changes are stored in one
// step.
type state struct {
	Version    int            `json:"version"`
	Clock      clock.State    `json:"clock"`
	Introduced outbox.HexID   `json:"introduced"` // kid of the own certificate that the bridge has welcomed
	People     people.List    `json:"people"`
	Sessions   []session      `json:"sessions,omitempty"`
	Ended      []ended        `json:"ended,omitempty"`    // oldest first
	Renewals   []outbox.HexID `json:"renewals,omitempty"` // requests that are over, oldest first
	Revoked    []outbox.HexID `json:"revoked,omitempty"`  // revocations that were followed and sign-outs that are over, oldest first
}

// session is a person who is signed in.
type session struct {
	ID        outbox.HexID      `json:"id"`
	Person    int               `json:"person"`
	Name      string            `json:"name,omitempty"`
	Seat      schemas.Seat      `json:"seat,omitempty"`
	Scope     string            `json:"scope"`
	Token     []byte            `json:"token,omitempty"` // nil when it has expired
	TokenType schemas.TokenType `json:"token_type,omitempty"`
	Expires   int64             `json:"expires"` // of the token, by the best guess of the time
	Life      int64             `json:"life"`    // expires_in as granted, seconds: the most that is left
	Renewable bool              `json:"renewable,omitempty"`
	RingAgain bool              `json:"ring_again,omitempty"` // it was renewable and is no more: it ends with its token
	Code      schemas.Code      `json:"code,omitempty"`       // why, if the bridge has said
	Settings  SettingsState     `json:"settings"`
	Problem   string            `json:"problem,omitempty"`
	Report    settings.Report   `json:"report"`
}

// ended is a sign-in that is over.
type ended struct {
	ID         outbox.HexID `json:"id"`
	State      State        `json:"state"`
	Code       schemas.Code `json:"code,omitempty"`
	RetryAfter uint16       `json:"retry_after,omitempty"`
	Seat       schemas.Seat `json:"seat,omitempty"`
	Scope      string       `json:"scope"`
	// Disowned says that the bridge has confirmed to have ended the session
	// that a late grant began.
	Disowned bool `json:"disowned,omitempty"`
}

func decodeState(data []byte) (state, error) {
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return state{}, err
	}
	if s.Version != stateVersion {
		return state{}, fmt.Errorf("version %d, want %d", s.Version, stateVersion)
	}
	return s, nil
}

// clone returns a copy that shares nothing that changes.
func (s state) clone() state {
	s.People.People = slices.Clone(s.People.People)
	s.Sessions = slices.Clone(s.Sessions)
	s.Ended = slices.Clone(s.Ended)
	s.Renewals = slices.Clone(s.Renewals)
	s.Revoked = slices.Clone(s.Revoked)
	return s
}

func (s *state) session(id schemas.ID) *session {
	for i := range s.Sessions {
		if schemas.ID(s.Sessions[i].ID) == id {
			return &s.Sessions[i]
		}
	}
	return nil
}

func (s *state) seat(seat schemas.Seat) *session {
	for i := range s.Sessions {
		if s.Sessions[i].Seat == seat {
			return &s.Sessions[i]
		}
	}
	return nil
}

// drop forgets sessions and returns them.
func (s *state) drop(which func(*session) bool) (dropped []session) {
	s.Sessions = slices.DeleteFunc(s.Sessions, func(x session) bool {
		gone := which(&x)
		if gone {
			dropped = append(dropped, x)
		}
		return gone
	})
	return dropped
}

func (s *state) ended(id schemas.ID) *ended {
	for i := range s.Ended {
		if schemas.ID(s.Ended[i].ID) == id {
			return &s.Ended[i]
		}
	}
	return nil
}

// end remembers an ended sign-in. Those of sessions that last are kept.
func (s *state) end(e ended) {
	s.Ended = slices.DeleteFunc(s.Ended, func(x ended) bool { return x.ID == e.ID })
	s.Ended = append(s.Ended, e)
	for i := 0; len(s.Ended) > maxEnded && i < len(s.Ended); {
		if s.session(schemas.ID(s.Ended[i].ID)) != nil {
			i++
			continue
		}
		s.Ended = slices.Delete(s.Ended, i, i+1)
	}
}

// followed reports whether a revocation, or the answer to a sign-out, has taken
// its effect.
func (s *state) followed(id schemas.ID) bool { return slices.Contains(s.Revoked, outbox.HexID(id)) }

// follow remembers that.
func (s *state) follow(id schemas.ID) {
	if s.followed(id) {
		return
	}
	s.Revoked = append(s.Revoked, outbox.HexID(id))
	if len(s.Revoked) > maxRevoked {
		s.Revoked = slices.Delete(s.Revoked, 0, 1)
	}
}

// renewalIsOver reports whether a renewal has got its answer.
func (s *state) renewalIsOver(id schemas.ID) bool {
	return slices.Contains(s.Renewals, outbox.HexID(id))
}

// renewalOver remembers that.
func (s *state) renewalOver(id schemas.ID) {
	s.Renewals = append(s.Renewals, outbox.HexID(id))
	if len(s.Renewals) > maxRenewals {
		s.Renewals = slices.Delete(s.Renewals, 0, 1)
	}
}

// update changes the state: durably, or not at all.
func (a *Agent) update(change func(*state)) error {
	next := a.state.clone()
	change(&next)
	next.Version = stateVersion
	next.Clock = a.clock.State()
	data, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := a.cfg.Store.Put(recordState, data); err != nil {
		return err
	}
	a.state = next
	a.dirty = true
	return nil
}

// note changes the state, and goes on with the change when it cannot be stored:
// for what must happen now, and is only less sure to survive a restart.
func (a *Agent) note(what string, change func(*state)) (stored bool) {
	if err := a.update(change); err != nil {
		a.log.Error("cannot store the state", "after", what, "error", err)
		change(&a.state)
		a.dirty = true
		return false
	}
	return true
}
