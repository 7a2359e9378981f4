// Package hostile is the list of what providers do wrong, and of what must become
// of a sign-in then. The tests of package ciba play it against the client, and
// those of the bridge against everything up to the device; who adds a row here
// has added it to both.
//
// Each provider of the list would approve a request seven seconds after it has
// come, with polls permitted every five seconds: the sign-in of [Request] with one
// that does nothing wrong takes ten, or seven if it pings or pushes.
package hostile

import (
	"crypto/tls"
	"net/http"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// Approval is when the person agrees, counted from the request.
const Approval = 7 * time.Second

// Person is whom a sign-in names, and who must approve. Other is somebody else.
const (
	Person = "anna.secret@example.com"
	Other  = "bela.secret@example.com"
)

// ACR are the authentication classes that a sign-in asks for.
var acr = []string{"urn:strong", "urn:stronger"}

// Request returns the authentication request of all sign-ins.
func Request() ciba.AuthenticationRequest {
	return ciba.AuthenticationRequest{
		Scope:          []string{"openid", "seat", "climate"},
		LoginHint:      Person,
		BindingMessage: "4K7-P2X",
		ACRValues:      acr,
	}
}

// Expect returns what is expected of the ID token that answers a request made at
// the instant asked.
func Expect(asked time.Time) ciba.Expect {
	return ciba.Expect{Subject: Person, ACRValues: acr, RequestedAt: asked}
}

// A Stage is how far a sign-in gets.
type Stage int

const (
	// Unasked: no authentication request reaches the provider.
	Unasked Stage = iota
	// Asked: one does, and that is all.
	Asked
	// Waiting: the request is acknowledged, and no tokens are made.
	Waiting
	// Redeemed: tokens are made, once.
	Redeemed
)

// after is when a sign-in that gets so far ends, unless its row says otherwise.
func (s Stage) after() time.Duration {
	return [...]time.Duration{Waiting: 5 * time.Second, Redeemed: 10 * time.Second}[s]
}

// An Outcome is how a sign-in ends.
type Outcome struct {
	// Classes are those of the error of package ciba. With none of them there are
	// tokens if the Stage is Redeemed, and else the error has no class.
	Classes []error
	// Code is what the bridge tells the device: "granted", or the name of a refusal
	// code.
	Code string
	// Alarm says that an operator must act, and hears of it.
	Alarm bool
}

// A Group are misbehaviours that lead to the same.
type Group struct {
	// Title completes the sentence "A provider may ...".
	Title   string
	Stage   Stage
	Outcome Outcome
	Rows    []Row
}

// A Row is one misbehaviour.
type Row struct {
	// Name is like no other row's.
	Name string
	// Provider misbehaves. It is new, and has not been used.
	Provider *cibatest.Provider
	// After is when the sign-in ends, counted from the request.
	After time.Duration
	// Others is how many sign-ins of Other must have begun before.
	Others int
	// Replies are the answers to the provider's notifications.
	Replies []int
	// Says is part of the error's text; "" for nothing certain.
	Says string
	// Redeemed is how often the provider makes tokens.
	Redeemed int
	// AfterEnd counts polls that follow the provider's last answer, because it was
	// lost, and nothing but another poll can tell what it was.
	AfterEnd int
}

// Groups returns the list, with new providers.
func Groups() []Group {
	var all []Group
	for _, list := range [][]Group{
		metadata(), wires(), acknowledgements(), refusals(), polls(), tokens(), idTokens(), parrots(), pings(), pushes(),
	} {
		all = append(all, list...)
	}
	for _, g := range all {
		for i := range g.Rows {
			g.Rows[i].complete(g.Stage)
		}
	}
	return all
}

const (
	atOnce = -time.Second // for Row.After: 0 is the Stage's
	never  = 24 * time.Hour
)

func (r *Row) complete(s Stage) {
	switch {
	case r.After == atOnce:
		r.After = 0
	case r.After == 0 && r.Provider.Delivery != "":
		r.After = Approval
	case r.After == 0:
		r.After = s.after()
	}
	if r.Redeemed == 0 && s == Redeemed {
		r.Redeemed = 1
	}
	if r.Provider.AutoApprove == 0 {
		r.Provider.AutoApprove = Approval
	}
}

// HTTPClient returns a client for a provider. One with Wires is reached through
// the transport of [ciba.NewHTTPClient], whose idle connections must be closed.
func HTTPClient(op *cibatest.Provider) *http.Client {
	if op.Wires == nil {
		return op.Client()
	}
	hc := ciba.NewHTTPClient(&tls.Config{RootCAs: op.Roots()})
	hc.Transport.(*http.Transport).DialContext = op.DialContext
	return hc
}

// The outcomes. All are read only.
var (
	granted     = Outcome{Code: "granted"}
	delayed     = Outcome{Code: "granted", Alarm: true}
	denied      = Outcome{Classes: []error{ciba.ErrDenied}, Code: "access_denied"}
	failed      = Outcome{Classes: []error{ciba.ErrTransactionFailed}, Code: "provider_error"}
	unasked     = Outcome{Classes: []error{ciba.ErrExpired}, Code: "provider_error"} // at once, or the device would wait for nothing
	expired     = Outcome{Classes: []error{ciba.ErrExpired}, Code: "expired"}
	down        = Outcome{Classes: []error{ciba.ErrUnavailable}, Code: "provider_unavailable"}
	uncertified = Outcome{Classes: []error{ciba.ErrUnavailable, ciba.ErrInvalidClient}, Code: "provider_unavailable", Alarm: true}
	silent      = Outcome{Classes: []error{ciba.ErrUnavailable, ciba.ErrInterrupted}, Code: "provider_unavailable"}
	lost        = Outcome{Classes: []error{ciba.ErrUnavailable, ciba.ErrInterrupted}, Code: "interrupted"}
	brokenOff   = Outcome{Classes: []error{ciba.ErrInterrupted}, Code: "interrupted"}
	spent       = Outcome{Classes: []error{ciba.ErrInterrupted, ciba.ErrInvalidGrant}, Code: "interrupted"}
	forgotten   = Outcome{Classes: []error{ciba.ErrInvalidGrant}, Code: "interrupted"}
	violation   = Outcome{Classes: []error{ciba.ErrProtocol}, Code: "provider_error"}
	forged      = Outcome{Classes: []error{ciba.ErrProtocol, ciba.ErrIDToken}, Code: "provider_error"}
	wrongPerson = Outcome{Classes: []error{ciba.ErrProtocol, ciba.ErrIDToken, ciba.ErrWrongPerson}, Code: "wrong_person"}
	refused     = Outcome{Classes: []error{ciba.ErrInvalidRequest}, Code: "provider_error"}
	wrongScope  = Outcome{Classes: []error{ciba.ErrInvalidRequest}, Code: "invalid_scope"}
	noClient    = Outcome{Classes: []error{ciba.ErrInvalidClient}, Code: "provider_error", Alarm: true}
	unknown     = Outcome{Classes: []error{ciba.ErrUnknownUser}, Code: "unknown_person"}
	noUserCode  = Outcome{Classes: []error{ciba.ErrUserCode}, Code: "provider_error"}
	noMessage   = Outcome{Classes: []error{ciba.ErrInvalidBindingMessage}, Code: "provider_error"}
	unfit       = Outcome{Code: "provider_error"} // good tokens that no device can have
	otherScope  = Outcome{Code: "invalid_scope"}
	unsupported = Outcome{Code: "provider_error", Alarm: true} // a *ciba.FieldError, which has no class
)

// set changes a member of a JSON object; nil removes it.
func set(member string, value any) func(map[string]any) {
	return func(m map[string]any) {
		m[member] = value
		if value == nil {
			delete(m, member)
		}
	}
}
