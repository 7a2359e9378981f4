package cmd

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/carillon-iot/carillon/bridge/policy"
)

// profile returns the row of the provider.
func (s *settings) profile() (profile.Profile, error) {
	row, err := profile.Named(s.providerProfile)
	if err != nil {
		return row, usagef("--provider-profile: %w", err)
	}
	return row, nil
}

// given reports whether any of these settings was given somewhere, as opposed to
// left at its default.
func (s *settings) given(names ...string) (given bool) {
	s.flags.Visit(func(f *flag.Flag) { given = given || slices.Contains(names, f.Name) })
	return given
}

// buildPolicy returns the policy with the settings that are text, and with the
// provider's limits where nothing else was given.
func (s *settings) buildPolicy(row profile.Profile) (policy.Policy, error) {
	p := s.policy
	p.Moving = policy.Moving(s.moving)
	scopes, err := parseScopes(s.scopes)
	if err != nil {
		return p, usagef("--scopes: %w", err)
	}
	p.Scopes = scopes
	if p.SessionLife, err = parseSessionLife(s.sessionLife); err != nil {
		return p, usagef("--session-life: %w", err)
	}
	s.fit(&p, row)
	if err := p.Validate(); err != nil {
		return p, usagef("policy: %w", err)
	}
	if longest := row.Expiry.Longest; longest > 0 && p.MaxExpiry > longest {
		return p, usagef("--max-expiry is %v, but %v allows at most %v", p.MaxExpiry, row, longest)
	}
	return p, nil
}

// fit moves defaults to what the provider takes.
func (s *settings) fit(p *policy.Policy, row profile.Profile) {
	if n := row.Limits.PerMinute; n > 0 && !s.given("provider-burst", "provider-every") {
		p.PerProvider = p.PerProvider.Within(n)
	}
	if n := row.Limits.PerPerson; n > 0 && !s.given("person-burst", "person-every") {
		p.PerPerson = p.PerPerson.Within(n)
	}
	if longest := cmp.Or(row.Expiry.Push, row.Expiry.Longest); longest > 0 && !s.given("max-expiry") {
		p.MaxExpiry = min(p.MaxExpiry, longest)
	}
	if !s.given("expiry") {
		p.DefaultExpiry = min(p.DefaultExpiry, p.MaxExpiry)
	}
}

// buildLimits returns the limits, and no more open sign-ins than the provider has
// where nothing else was given.
func (s *settings) buildLimits(row profile.Profile) bridge.Limits {
	limits := s.limits
	if n := row.Limits.Pending; n > 0 && !s.given("max-open") {
		limits.Open = min(limits.Open, n)
	}
	return limits
}

// pace says a quota in words.
func pace(r policy.Rate) string {
	if r.Unlimited() {
		return "no limit"
	}
	return fmt.Sprintf("%d at once, then one each %v", r.Burst, r.Every)
}

// shared says that others count as well.
func shared(row profile.Profile) string {
	if !row.Limits.Shared {
		return ""
	}
	return fmt.Sprintf(" (%v counts %d a minute, and all clients of the tenant)", row, row.Limits.PerMinute)
}

// channel says what else an expiry decides.
func channel(row profile.Profile, longest time.Duration) string {
	if push := row.Expiry.Push; push > 0 && longest > push {
		return fmt.Sprintf(" (beyond %v %v sends an e-mail instead of a push)", push, row)
	}
	return ""
}
