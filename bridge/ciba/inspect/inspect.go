// Package inspect finds out, before anybody waits for it, whether a client and its
// OpenID provider will get on: it makes the requests that sign-ins consist of, and
// says in plain words what works, what does not, and what to change.
//
// No phone rings for it unless [Config].Ring names somebody: what a provider
// thinks of a client shows in how it refuses a request that nobody made, and a
// person who does not exist.
//
//	findings := inspect.Run(ctx, inspect.Config{Client: client, HTTPClient: hc})
//	if slices.ContainsFunc(findings, inspect.Finding.Bad) { … }
package inspect

import (
	"context"
	"net/http"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

// Config says what to inspect.
type Config struct {
	// Client is the client as it will be used. Required.
	Client *ciba.Client
	// HTTPClient reaches the provider as Client does. It is used for one request of
	// its own, whose TLS and Date are looked at. Required.
	HTTPClient *http.Client
	// Request is what sign-ins will ask for. Its hint, its binding message and its
	// notification token are left to the checks. Its Scope must have openid.
	Request ciba.AuthenticationRequest
	// NotificationToken mints what ping and push requests carry; nil in poll mode.
	NotificationToken func() (string, error)
	// Ring is the login_hint of a person whose phone shall ring, so that the whole
	// sign-in is tried; "" rings nobody.
	Ring string
	// Report is told each finding at once; nil means nobody.
	Report func(Finding)
}

// A Finding is what came of one check.
type Finding struct {
	// Check is what was looked at: one of the Check constants.
	Check Check `json:"check"`
	// Status is how it looks.
	Status Status `json:"status"`
	// Found is what was found, in plain words. It holds no secret, token or hint.
	Found string `json:"found"`
	// Advice is what to do about it; "" if nothing.
	Advice string `json:"advice,omitempty"`
}

// Bad reports whether sign-ins will fail because of it.
func (f Finding) Bad() bool { return f.Status == Failed }

// A Check names what is looked at.
type Check string

// The checks, in the order in which they are made.
const (
	Connection     Check = "connection"     // the provider is reached, and by TLS as it should be
	Clock          Check = "clock"          // both sides agree on what time it is
	Discovery      Check = "discovery"      // the metadata is there, complete, and of this issuer
	Keys           Check = "keys"           // so are the keys of ID tokens
	Algorithms     Check = "algorithms"     // ID tokens can be verified, signed requests be read
	Delivery       Check = "delivery"       // the mode exists
	Authentication Check = "authentication" // the client's way to prove itself exists
	Scope          Check = "scope"          // what devices ask for exists
	Client         Check = "client"         // the client is known, proves itself, and may use CIBA
	Request        Check = "request"        // an authentication request is understood
	SignIn         Check = "sign-in"        // somebody was rung, and tokens came
)

// A Status is how something looks.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Warning Status = "warning" // sign-ins may work all the same
	Failed  Status = "failed"
	Skipped Status = "skipped" // could not be looked at, because of what failed before
)

// Run makes all checks. What cannot be looked at because of an earlier failure is
// skipped. It takes some seconds at most, but for the time that a person who is
// rung takes.
func Run(ctx context.Context, cfg Config) []Finding {
	in := &inspection{cfg: cfg, about: cfg.Client.Describe(), row: cfg.Client.Profile()}
	in.reach(ctx)
	if in.discover(ctx) {
		in.keys(ctx)
		in.algorithms()
		in.delivery()
		in.authentication()
		in.scope()
		in.probeToken(ctx)
		in.probeRequest(ctx)
		in.signIn(ctx)
	} else {
		for _, c := range []Check{Keys, Algorithms, Delivery, Authentication, Scope, Client, Request} {
			in.add(c, Skipped, "nothing is known of the provider", "")
		}
	}
	return in.findings
}

// An inspection is one Run.
type inspection struct {
	cfg      Config
	about    ciba.Description
	row      profile.Profile
	metadata *ciba.Metadata // once discovered
	findings []Finding
}

func (in *inspection) add(c Check, s Status, found, advice string) {
	f := Finding{c, s, found, advice}
	in.findings = append(in.findings, f)
	if in.cfg.Report != nil {
		in.cfg.Report(f)
	}
}

func (in *inspection) ok(c Check, found string) { in.add(c, OK, found, "") }

// bad reports whether a check has failed.
func (in *inspection) bad(c Check) bool {
	for _, f := range in.findings {
		if f.Check == c && f.Bad() {
			return true
		}
	}
	return false
}
