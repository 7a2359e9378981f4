package bridge

import (
	"slices"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

// Asks are what every authentication request asks for besides what the device
// asks for.
type Asks struct {
	// Resource names the services that access tokens are for, as absolute URIs (RFC
	// 8707); nil for none.
	Resource []string
	// Audience does so in the way of Auth0; "" for none.
	Audience string
	// ACRValues are the authentication context classes that are asked for, and
	// demanded of the ID token, where the device names none itself.
	ACRValues []string
	// Details say what is wanted in a form that the provider understands (RFC
	// 9396); nil for none.
	Details *DetailsTemplate
}

// Validate reports the first field that no request could carry, or that a provider
// with this profile does not take. It is a [*ciba.FieldError] that names the field
// as [ciba.AuthenticationRequest] does.
func (a Asks) Validate(p profile.Profile) error {
	req := a.Sample()
	req.BindingMessage = p.Binding.New()
	switch kinds := p.Hints.Kinds; {
	case kinds == nil || slices.Contains(kinds, profile.LoginHint):
		req.LoginHint = "anybody"
	case slices.Contains(kinds, profile.IDTokenHint):
		req.IDTokenHint = "anybody"
	default:
		req.LoginHintToken = "anybody"
	}
	return req.Validate(p)
}

// Sample returns a request such as sign-ins make, for no scope and nobody: for
// trying a provider, or whether it could be asked at all.
func (a Asks) Sample() ciba.AuthenticationRequest {
	req := ciba.AuthenticationRequest{Scope: []string{"openid"}, ACRValues: a.ACRValues}
	a.add(&req, sampleAttempt(0))
	return req
}

// add completes the request of an attempt.
func (a Asks) add(req *ciba.AuthenticationRequest, about attempt) {
	req.Resource, req.Audience = a.Resource, a.Audience
	if a.Details != nil {
		req.AuthorizationDetails = a.Details.fill(about)
	}
}

// acr returns what is asked for, given what the device asks for.
func (a Asks) acr(device []string) []string {
	if len(device) == 0 {
		return a.ACRValues
	}
	return device
}
