package profile

import (
	"fmt"
	"time"
)

const (
	// Generic is the row without differences.
	Generic      = "generic"
	titleGeneric = "a provider as CIBA Core describes it"

	alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// All returns the rows of the table.
func All() []Profile {
	return []Profile{
		{
			Name: Generic, Title: titleGeneric,
			Sources: []Source{{Specification, "OpenID Connect CIBA Core 1.0"}},
		},

		Profile{
			Name: "fapi-ciba", Title: "a provider that keeps to FAPI-CIBA",
			Sources: []Source{{Specification, "FAPI-CIBA, draft 03"}},
		}.WithFAPI(),

		{
			Name: "auth0", Title: "Auth0",
			Sources: []Source{
				{Documentation, "auth0.com/docs: Client-Initiated Backchannel Authentication Flow, pages validated on 20 February 2026"},
			},
			Client: Client{
				Delivery: []string{Poll},
				Auth:     []string{ClientSecretBasic, ClientSecretPost, PrivateKeyJWT, TLSClientAuth, SelfSignedTLSClientAuth},
			},
			Hints: Hints{Kinds: []string{LoginHint}, Format: IssSub},
			// An example in the documentation has blanks, which its rule does not allow.
			Binding: Binding{Alphabet: alphanumeric + "+-_.,:#", Longest: 64, Required: true},
			Expiry:  Expiry{Longest: 72 * time.Hour, Default: 5 * time.Minute, Push: 5 * time.Minute},
			Polling: Polling{RetryAfter: true, Interval: true, ExpiredAsDenied: true},
			// resource needs the tenant's compatibility profile for it.
			Parameters: Parameters{Target: []string{Audience, Resource}, Details: Yes},
			// A request that nobody answered may count as pending for a day.
			Limits: Limits{PerMinute: 500, PerPerson: 5, Pending: 5000, Shared: true},
		},

		{
			Name: "keycloak", Title: "Keycloak",
			Sources: []Source{
				{SourceCode, "keycloak/keycloak: BackchannelAuthenticationEndpoint, CibaGrantType, CibaConfig"},
			},
			Client: Client{Delivery: []string{Poll, Ping}},
			Hints: Hints{
				// The realm has one kind, this one unless its policy says otherwise.
				Kinds:   []string{LoginHint},
				Unknown: Answer{"invalid_request", "invalid user"},
			},
			Binding:    Binding{Alphabet: alphanumeric + "-._+/!?#", Longest: 50},
			Expiry:     Expiry{Default: 2 * time.Minute, OnlyShortens: true, Unsaid: true},
			Polling:    Polling{AtOnce: true},
			Parameters: Parameters{Signed: Yes, UserCode: No},
		},

		{
			Name: "okta", Title: "Okta",
			Sources: []Source{
				{Documentation, "developer.okta.com: Transactional verification using CIBA"},
				{SourceCode, "okta/okta-auth-js: authenticateClient"},
			},
			Client: Client{
				Delivery: []string{Poll},
				Auth:     []string{ClientSecretBasic, ClientSecretPost, PrivateKeyJWT},
			},
			Hints:      Hints{Kinds: []string{LoginHint, IDTokenHint}},
			Expiry:     Expiry{Parameter: "request_expiry", Default: 5 * time.Minute},
			Parameters: Parameters{Signed: Yes},
		},

		{
			Name: "pingone", Title: "PingOne",
			Sources: []Source{
				{Documentation, "developer.pingidentity.com: PingOne Platform APIs, CIBA grant type"},
			},
			Client: Client{
				Delivery: []string{Poll},
				Auth:     []string{ClientSecretBasic, ClientSecretPost, PrivateKeyJWT},
			},
			Polling:    Polling{AtOnce: true},
			Parameters: Parameters{Signed: Yes},
		},

		{
			Name: "pingfederate", Title: "PingFederate",
			Sources: []Source{
				{Documentation, "docs.pingidentity.com: PingFederate Server 13, Client-initiated backchannel authentication endpoint and Defining a request policy"},
			},
			Client:     Client{Delivery: []string{Poll, Ping}},
			Expiry:     Expiry{Default: 2 * time.Minute, OnlyShortens: true},
			Parameters: Parameters{Signed: Yes, ClientIDTwice: true, UserCode: Yes},
		},

		{
			Name: "node-oidc-provider", Title: "node oidc-provider",
			Sources: []Source{
				{SourceCode, "oidc-provider 9.13.3 with its defaults"},
				{Tried, "oidc-provider 9.13.3, in poll and ping mode"},
			},
			Client:     Client{Delivery: []string{Poll, Ping}},
			Binding:    Binding{Alphabet: alphanumeric + "-._+/!?#", Longest: 20},
			Expiry:     Expiry{Default: 10 * time.Minute, OnlyShortens: true},
			Polling:    Polling{AtOnce: true, NeverSlow: true},
			Parameters: Parameters{Signed: Yes, Target: []string{Resource}, Details: Yes, UserCode: Yes},
		},
	}
}

// Named returns a row of the table; "" is "generic". The error names the choices.
func Named(name string) (Profile, error) {
	if name == "" {
		name = Generic
	}
	for _, p := range All() {
		if p.Name == name {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("%q is not one of %q", name, Names())
}

// Names returns the names of all rows, in the order of the table.
func Names() []string {
	var names []string
	for _, p := range All() {
		names = append(names, p.Name)
	}
	return names
}
