package api

import (
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/schemas"
)

// SignInRequest is the body of POST /v1/sign-ins: agent.Request in JSON.
type SignInRequest struct {
	Scope          string `json:"scope"`
	Person         string `json:"person,omitempty"` // local number or name
	LoginHint      string `json:"login_hint,omitempty"`
	LoginHintToken string `json:"login_hint_token,omitempty"`
	IDTokenHint    string `json:"id_token_hint,omitempty"`
	Purpose        string `json:"purpose,omitempty"`
	Expiry         int    `json:"expiry,omitempty"` // seconds
	ACR            string `json:"acr,omitempty"`
	Seat           int    `json:"seat,omitempty"`
}

// SignIn is the state of a sign-in.
type SignIn struct {
	ID             string      `json:"id"`
	State          agent.State `json:"state"`
	Seat           int         `json:"seat,omitempty"`
	Scope          string      `json:"scope"`
	BindingMessage string      `json:"binding_message,omitempty"`
	ExpiresIn      int         `json:"expires_in,omitempty"` // seconds, while ringing
	Code           string      `json:"code,omitempty"`       // when refused
	RetryAfter     int         `json:"retry_after,omitempty"`
}

// Session is a person who is signed in.
type Session struct {
	ID        string              `json:"id"` // of the sign-in
	Person    int                 `json:"person"`
	Name      string              `json:"name,omitempty"`
	Seat      int                 `json:"seat,omitempty"`
	Scope     string              `json:"scope"`
	ExpiresIn int                 `json:"expires_in"` // of the token, seconds; 0 when it is gone
	Renewable bool                `json:"renewable,omitempty"`
	RingAgain bool                `json:"ring_again,omitempty"`
	Code      string              `json:"code,omitempty"` // why it cannot be renewed any more
	Settings  agent.SettingsState `json:"settings"`
	Problem   string              `json:"problem,omitempty"`
	Applied   []string            `json:"applied,omitempty"`
	Held      []string            `json:"held,omitempty"`
	Skipped   []settings.Skip     `json:"skipped,omitempty"`
}

// Person is somebody who can be named in a sign-in.
type Person struct {
	Number int    `json:"number"`
	Name   string `json:"name,omitempty"`
}

// Status is everything.
type Status struct {
	Device      string    `json:"device"`
	Connected   bool      `json:"connected"`
	Introduced  bool      `json:"introduced"`
	ClockOffset int       `json:"clock_offset"` // seconds
	SignIns     []SignIn  `json:"sign_ins"`
	Sessions    []Session `json:"sessions"`
	People      []Person  `json:"people"`
}

// SignOutRequest is the body of POST /v1/sign-out: exactly one member.
type SignOutRequest struct {
	Session string `json:"session,omitempty"`
	Person  string `json:"person,omitempty"`
	Seat    int    `json:"seat,omitempty"`
	All     bool   `json:"all,omitempty"`
}

// SignOutAnswer names the sessions that have ended.
type SignOutAnswer struct {
	Sessions []string `json:"sessions"`
}

// Seat is a seat that is as it was before anybody's settings.
type Seat struct {
	Seat    int      `json:"seat"`
	Held    []string `json:"held,omitempty"`
	Problem string   `json:"problem,omitempty"`
}

// Link is the connection to the broker.
type Link struct {
	Connected bool `json:"connected"`
}

// The types of events in a stream, and what their data is.
const (
	EventStatus  = "status"     // Status: at the beginning, and after a gap
	EventSignIn  = "sign-in"    // SignIn: begun or changed
	EventSession = "session"    // Session: begun or changed
	EventEnded   = "signed-out" // Session: over
	EventSeat    = "seat"       // Seat
	EventLink    = "link"       // Link
)

func signInOf(s agent.SignIn) SignIn {
	out := SignIn{
		ID: s.ID.String(), State: s.State, Seat: int(s.Seat), Scope: s.Scope, BindingMessage: s.Binding,
		ExpiresIn: seconds(s.ExpiresIn), RetryAfter: seconds(s.RetryAfter),
	}
	if s.Code != 0 {
		out.Code = s.Code.String()
	}
	return out
}

func sessionOf(s agent.Session) Session {
	out := Session{
		ID: s.ID.String(), Person: s.Person, Name: s.Name, Seat: int(s.Seat), Scope: s.Scope, ExpiresIn: seconds(s.ExpiresIn),
		Renewable: s.Renewable, RingAgain: s.RingAgain,
		Settings: s.Settings, Problem: s.Problem, Applied: s.Applied, Held: s.Held, Skipped: s.Skipped,
	}
	if s.Code != 0 {
		out.Code = s.Code.String()
	}
	return out
}

func statusOf(s agent.Status) Status {
	out := Status{
		Device: string(s.Device), Connected: s.Connected, Introduced: s.Introduced, ClockOffset: seconds(s.Offset),
		SignIns: []SignIn{}, Sessions: []Session{}, People: []Person{},
	}
	for _, x := range s.SignIns {
		out.SignIns = append(out.SignIns, signInOf(x))
	}
	for _, x := range s.Sessions {
		out.Sessions = append(out.Sessions, sessionOf(x))
	}
	for _, x := range s.People {
		out.People = append(out.People, Person(x))
	}
	return out
}

// eventOf returns the type and the data of an event.
func eventOf(e agent.Event) (kind string, data any) {
	switch {
	case e.SignIn != nil:
		return EventSignIn, signInOf(*e.SignIn)
	case e.Session != nil:
		return EventSession, sessionOf(*e.Session)
	case e.Ended != nil:
		return EventEnded, sessionOf(*e.Ended)
	case e.Seat != nil:
		return EventSeat, Seat{int(e.Seat.Seat), e.Seat.Held, e.Seat.Problem}
	default:
		return EventLink, Link{e.Link.Connected}
	}
}

// request turns the body into what the agent takes. Ranges that the agent
// checks are not checked here, but none is cut off.
func (r SignInRequest) request() (agent.Request, error) {
	seat, err := seatOf(r.Seat)
	if err != nil {
		return agent.Request{}, err
	}
	if r.Expiry < 0 || r.Expiry > 0xffff {
		return agent.Request{}, invalid("expiry is %d s, want 1 to %d, or none", r.Expiry, 0xffff)
	}
	return agent.Request{
		Scope: r.Scope, Person: r.Person, LoginHint: r.LoginHint, LoginHintToken: r.LoginHintToken, IDTokenHint: r.IDTokenHint,
		Purpose: r.Purpose, Expiry: time.Duration(r.Expiry) * time.Second, ACR: r.ACR, Seat: seat,
	}, nil
}

func (r SignOutRequest) target() (agent.Target, error) {
	seat, err := seatOf(r.Seat)
	if err != nil {
		return agent.Target{}, err
	}
	t := agent.Target{Person: r.Person, Seat: seat, All: r.All}
	if r.Session != "" {
		if t.Session, err = schemas.ParseID(r.Session); err != nil {
			return agent.Target{}, invalid("session: %v", err)
		}
	}
	return t, nil
}

func seatOf(n int) (schemas.Seat, error) {
	if n < 0 || n > 12 {
		return 0, invalid("seat is %d, want 1 to 12, or none", n)
	}
	return schemas.Seat(n), nil
}

func seconds(d time.Duration) int { return int(d.Round(time.Second) / time.Second) }
