// Package profile says in what OpenID providers differ from CIBA Core 1.0.
//
// It is data: a [Profile] is a row of the table in table.go, and each of its
// fields a column. The zero value of every field means "as the specification
// says", or "nobody has written down anything else": a row holds what a
// provider's documentation, its source or a trial says, and never a guess, so
// that nothing is refused on hearsay.
//
// Package ciba obeys a Profile, the bridge takes its defaults from it, and
// package cibatest imitates it:
//
//	row, err := profile.Named("auth0")
//	client, err := ciba.New(ciba.Config{Profile: row, …})
//	req.BindingMessage = row.Binding.New()
//
// A row is a value of its own. A provider that is configured differently, or
// one that has no row, is described by a changed copy:
//
//	row, err := profile.Named("keycloak")
//	row.Hints.Kinds = []string{profile.IDTokenHint}
package profile

import (
	"slices"
	"time"
)

// A Profile is what a client has to know of a provider beyond its metadata. The
// zero value is a provider that keeps to CIBA Core 1.0.
type Profile struct {
	// Name is how settings call it, such as "auth0"; "" is "generic".
	Name string
	// Title is how people call it.
	Title string
	// Sources are where the row is from.
	Sources []Source

	Client     Client
	Hints      Hints
	Binding    Binding
	Expiry     Expiry
	Polling    Polling
	Parameters Parameters
	Limits     Limits

	// FAPI holds the client to FAPI-CIBA section 5.2: signatures with PS256 or ES256
	// alone, no defect tolerated, and no request without a binding message or
	// authorization details. See WithFAPI, which also restricts Client.
	FAPI bool
}

// A Source is where facts are from, and so how well they are known.
type Source struct {
	How  Evidence
	What string
}

// Evidence is how something is known. The best comes last.
type Evidence string

// The kinds of evidence.
const (
	Specification Evidence = "specification"
	Documentation Evidence = "documentation" // the provider's own
	SourceCode    Evidence = "source"        // read, not run
	Tried         Evidence = "tried here"    // by a test of this repository
)

// Client is how a client is registered.
type Client struct {
	// Delivery are the delivery modes, Poll and so on; nil for all.
	Delivery []string
	// Auth are the methods of client authentication, ClientSecretBasic and so on;
	// nil for all.
	Auth []string
}

// The delivery modes (CIBA Core section 5).
const (
	Poll = "poll"
	Ping = "ping"
	Push = "push"
)

// The methods of client authentication (OpenID Connect Core section 9, RFC 8705)
// that package ciba has.
const (
	ClientSecretBasic       = "client_secret_basic"
	ClientSecretPost        = "client_secret_post"
	PrivateKeyJWT           = "private_key_jwt"
	TLSClientAuth           = "tls_client_auth"
	SelfSignedTLSClientAuth = "self_signed_tls_client_auth"
)

// Hints are how a person is named.
type Hints struct {
	// Kinds are the parameters that are understood, LoginHint and so on; nil for all.
	Kinds []string
	// Format is what a login_hint looks like.
	Format Format
	// Unknown is the answer to a hint that names nobody; zero for unknown_user_id.
	Unknown Answer
}

// The kinds of hint (CIBA Core section 7.1).
const (
	LoginHint      = "login_hint"
	LoginHintToken = "login_hint_token"
	IDTokenHint    = "id_token_hint"
)

// A Format is what a login_hint looks like.
type Format string

// The formats.
const (
	// Plain is a text that the provider understands.
	Plain Format = ""
	// IssSub is a JSON object {"format":"iss_sub","iss":…,"sub":…} (RFC 9493 section
	// 3.2.3) of the issuer with a slash at its end and the person's subject there.
	IssSub Format = "iss_sub"
)

// An Answer is an error answer. The zero value is that of the specification.
type Answer struct {
	Code        string
	Description string // of which case does not matter
}

// Expiry is what becomes of requested_expiry.
type Expiry struct {
	// Parameter is its name; "" for requested_expiry.
	Parameter string
	// Longest is the longest that may be asked for; 0 if no limit is known.
	Longest time.Duration
	// Default is how long a request lives where nothing is asked; 0 if that is not known.
	Default time.Duration
	// Push is the longest for which the phone rings: what asks for longer becomes an
	// e-mail. 0 if there is no such border.
	Push time.Duration
	// OnlyShortens says that no more than the provider's own expiry can be had.
	OnlyShortens bool
	// Unsaid says that expires_in is the provider's own even where a shorter
	// requested one is in force.
	Unsaid bool
}

// Polling is how token requests are answered.
type Polling struct {
	// AtOnce says that none is ever held (no long polling).
	AtOnce bool
	// NeverSlow says that slow_down is never answered.
	NeverSlow bool
	// RetryAfter says that slow_down comes with that header, and Interval with a
	// member interval beside error.
	RetryAfter, Interval bool
	// ExpiredAsDenied says that access_denied is the answer also where nobody has
	// decided in time.
	ExpiredAsDenied bool
}

// Parameters are further parameters of an authentication request.
type Parameters struct {
	// Signed is whether requests may be signed, or must be.
	Signed Support
	// ClientIDTwice says that client_id must be in a signed request, and beside it.
	ClientIDTwice bool
	// Target are the parameters that say what the access token is for, Resource and
	// Audience; nil for all.
	Target []string
	// Details is whether authorization_details are understood.
	Details Support
	// UserCode is whether a user_code is.
	UserCode Support
}

// The parameters that say what an access token is for.
const (
	Resource = "resource" // RFC 8707
	Audience = "audience"
)

// Support is whether something can be used. The zero value leaves it to the
// provider's metadata.
type Support string

// The other values.
const (
	Yes      Support = "yes"
	No       Support = "no"
	Required Support = "required" // of Signed only
)

// Limits are how many authentication requests a provider takes; 0 where no limit
// is known.
type Limits struct {
	// PerMinute bounds all, PerPerson those that name the same person, each in a
	// minute.
	PerMinute, PerPerson int
	// Pending bounds those that nobody has decided.
	Pending int
	// Shared says that all clients of a tenant share PerMinute and Pending.
	Shared bool
}

// String returns the Title, for errors.
func (p Profile) String() string {
	if p.Title != "" {
		return p.Title
	}
	return titleGeneric
}

// WithFAPI returns p held to FAPI-CIBA: with FAPI, without the push mode and
// without shared secrets (section 5.2.2).
func (p Profile) WithFAPI() Profile {
	p.FAPI = true
	p.Client.Delivery = both(p.Client.Delivery, []string{Poll, Ping})
	p.Client.Auth = both(p.Client.Auth, []string{PrivateKeyJWT, TLSClientAuth, SelfSignedTLSClientAuth})
	return p
}

// both returns what is in both lists, of which the first means everything if it
// is nil.
func both(list, allowed []string) []string {
	if list == nil {
		return allowed
	}
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return !slices.Contains(allowed, s) })
}
