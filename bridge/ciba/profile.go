package ciba

import (
	"errors"
	"slices"
	"strings"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

// Profile returns Config.Profile. FAPI-CIBA has narrowed its Client if FAPI is set.
func (c *Client) Profile() profile.Profile { return c.profile }

// profile returns Profile with everything that FAPI brings with it.
func (cfg *Config) profile() profile.Profile {
	if cfg.Profile.FAPI {
		return cfg.Profile.WithFAPI()
	}
	return cfg.Profile
}

// allows reports whether a list of a profile has s; nil has everything.
func allows(list []string, s string) bool { return list == nil || slices.Contains(list, s) }

// validateProfile checks the fields that the provider restricts.
func (cfg *Config) validateProfile() error {
	p := cfg.profile()
	switch {
	case !allows(p.Client.Delivery, string(cfg.delivery())):
		return fieldErrorf("Delivery", "is %q, but %v has only %q", cfg.delivery(), p, p.Client.Delivery)
	case !allows(p.Client.Auth, cfg.Auth.Method()):
		return fieldErrorf("Auth", "is %s, but %v has only %q", cfg.Auth.Method(), p, p.Client.Auth)
	case p.Parameters.Signed == profile.No && cfg.RequestSigning != nil:
		return fieldErrorf("RequestSigning", "is set, but %v takes no signed requests", p)
	case p.Parameters.Signed == profile.Required && cfg.RequestSigning == nil:
		return fieldErrorf("RequestSigning", "is missing, but %v takes only signed requests", p)
	}
	if err := p.Binding.Check(p.Binding.New()); err != nil {
		return fieldErrorf("Profile", "leaves no room for a binding message: one %v", err)
	}
	return cfg.validateFAPI()
}

// checkProfile refuses what the provider does not take.
func (r *AuthenticationRequest) checkProfile(p profile.Profile) error {
	for _, f := range []struct {
		field, parameter string
		set              bool
		allowed          []string
	}{
		{"LoginHint", profile.LoginHint, r.LoginHint != "", p.Hints.Kinds},
		{"LoginHintToken", profile.LoginHintToken, r.LoginHintToken != "", p.Hints.Kinds},
		{"IDTokenHint", profile.IDTokenHint, r.IDTokenHint != "", p.Hints.Kinds},
		{"Resource", profile.Resource, len(r.Resource) > 0, p.Parameters.Target},
		{"Audience", profile.Audience, r.Audience != "", p.Parameters.Target},
	} {
		if f.set && !allows(f.allowed, f.parameter) {
			return fieldErrorf(f.field, "is set, but instead of %s %v takes %q", f.parameter, p, f.allowed)
		}
	}
	switch {
	case len(r.AuthorizationDetails) > 0 && p.Parameters.Details == profile.No:
		return fieldErrorf("AuthorizationDetails", "are set, but %v takes none", p)
	case r.UserCode != "" && p.Parameters.UserCode == profile.No:
		return fieldErrorf("UserCode", "is set, but %v takes none", p)
	case p.Expiry.Longest > 0 && r.RequestedExpiry > p.Expiry.Longest:
		return fieldErrorf("RequestedExpiry", "is %v, but %v allows at most %v", r.RequestedExpiry, p, p.Expiry.Longest)
	}
	if err := p.Binding.Check(r.BindingMessage); err != nil {
		return fieldErrorf("BindingMessage", "%v at %v", err, p)
	}
	if p.FAPI {
		return r.checkFAPI()
	}
	return nil
}

// understand gives an error answer the classes that it has at this provider, if
// these are others than those of the specification.
func (c *Client) understand(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	unknown := c.profile.Hints.Unknown
	switch {
	case e.Endpoint == endpointAuthenticate && errors.Is(e, ErrInvalidRequest) &&
		string(e.Code) == unknown.Code && strings.EqualFold(e.Description, unknown.Description):
		e.means = []error{ErrUnknownUser}
	case e.Endpoint == endpointToken && errors.Is(e, ErrDenied) && c.profile.Polling.ExpiredAsDenied:
		e.means = []error{ErrDenied, ErrExpired}
	}
	return err
}

// decided returns err as an error of one class, where it may have had two.
func decided(err, class error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	one := *e
	one.means = []error{class}
	return &one
}
