// Package policy decides which sign-ins a bridge takes on: for which scopes, at
// which pace and how soon after a denial.
//
// It is the defence against push bombing that RFC 10027 (BCP 247) asks of
// cross-device flows. Everything in it is a pure function of its arguments;
// the state it needs, an instant for each quota and a count of denials, is kept
// by the bridge's store.
package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// Policy is what an operator allows. The zero value allows no expiry; begin
// with [Default].
type Policy struct {
	// Scopes are the scope tokens that each kind of device may ask for, besides
	// openid, which the bridge adds. Nil permits every scope to every kind; a
	// kind that a non-nil map lacks may not ask at all.
	Scopes map[schemas.DeviceKind][]string
	// MinExpiry and MaxExpiry bound how long a phone rings, DefaultExpiry is for
	// devices that leave it open. Another wish is moved to the nearer bound.
	MinExpiry, MaxExpiry, DefaultExpiry time.Duration
	// MaxPurpose is how many bytes of text may say what a sign-in is for; 0
	// forbids such a text.
	MaxPurpose int
	// Moving says who may ask in a vehicle that moves. "" means MovingAllowed.
	Moving Moving
	// PerDevice, PerPerson and PerProvider are quotas of pushes. PerDevice is also
	// that of a device's renewals, in a bucket of their own.
	PerDevice, PerPerson, PerProvider Rate
	// Renewals is the quota of renewals in all.
	Renewals Rate
	// SessionLife is how long a person may stay signed in on each kind of device
	// without being rung again; a kind that it lacks keeps a session for one token.
	SessionLife map[schemas.DeviceKind]time.Duration
	// CoolDown is the pause after a denial, for that person on that device.
	CoolDown CoolDown
}

// Moving is a rule for vehicles that say that they move.
type Moving string

// The rules.
const (
	MovingAllowed   Moving = "allowed"    // as if it stood still
	MovingNotDriver Moving = "not-driver" // refused for the driver's seat and where no seat is named
	MovingRefused   Moving = "refused"    // refused for every seat
)

// maxExpiry is the longest expiry on the wire, in seconds.
const maxExpiry = 65535 * time.Second

// MaxSessionLife is the longest SessionLife.
const MaxSessionLife = 365 * 24 * time.Hour

// Default returns a policy for a person at the wheel of their own car: two
// minutes to answer, five pushes in a burst and one a minute after it.
func Default() Policy {
	return Policy{
		MinExpiry:     15 * time.Second,
		MaxExpiry:     5 * time.Minute,
		DefaultExpiry: 2 * time.Minute,
		MaxPurpose:    128,
		Moving:        MovingAllowed,
		PerDevice:     Rate{Burst: 10, Every: 30 * time.Second},
		PerPerson:     Rate{Burst: 5, Every: time.Minute},
		CoolDown:      CoolDown{First: 30 * time.Second, Max: time.Hour},
	}
}

// Validate reports the first field that makes no sense, what it holds and what
// is allowed.
func (p Policy) Validate() error {
	for _, e := range []struct {
		name string
		d    time.Duration
	}{{"min expiry", p.MinExpiry}, {"max expiry", p.MaxExpiry}, {"default expiry", p.DefaultExpiry}} {
		if e.d < time.Second || e.d > maxExpiry {
			return fmt.Errorf("%s is %v, want 1s to %v", e.name, e.d, maxExpiry)
		}
	}
	if p.MinExpiry > p.DefaultExpiry || p.DefaultExpiry > p.MaxExpiry {
		return fmt.Errorf("expiry: minimum %v, default %v, maximum %v, want them in ascending order", p.MinExpiry, p.DefaultExpiry, p.MaxExpiry)
	}
	if p.MaxPurpose < 0 {
		return fmt.Errorf("max purpose is %d bytes, want 0 or more", p.MaxPurpose)
	}
	switch p.Moving {
	case "", MovingAllowed, MovingNotDriver, MovingRefused:
	default:
		return fmt.Errorf("moving is %q, want %q, %q or %q", p.Moving, MovingAllowed, MovingNotDriver, MovingRefused)
	}
	for kind, scopes := range p.Scopes {
		if i := slices.IndexFunc(scopes, badToken); i >= 0 {
			return fmt.Errorf("scopes of %v: %q is not a scope token of 1 to 256 printable characters", kind, scopes[i])
		}
	}
	for kind, life := range p.SessionLife {
		if life < time.Minute || life > MaxSessionLife {
			return fmt.Errorf("session life of %v is %v, want 1m to %v", kind, life, MaxSessionLife)
		}
	}
	for _, q := range []struct {
		name string
		rate Rate
	}{{"per device", p.PerDevice}, {"per person", p.PerPerson}, {"per provider", p.PerProvider}, {"renewals", p.Renewals}} {
		if err := q.rate.validate(); err != nil {
			return fmt.Errorf("quota %s: %w", q.name, err)
		}
	}
	return p.CoolDown.validate()
}

// badToken reports whether s is no scope-token (RFC 6749 section 3.3).
func badToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return true
		}
	}
	return s == "" || len(s) > 256
}

// An Ask is what a device says about one sign-in.
type Ask struct {
	Kind    schemas.DeviceKind
	Scope   []string // scope tokens
	Seat    schemas.Seat
	Moving  bool
	Purpose string
}

// A Refusal is a decision against a sign-in.
type Refusal struct {
	Code       schemas.Code
	RetryAfter time.Duration // 0: asking again is of no use
	Reason     string        // for the operator's log; holds nothing personal
}

// movingRetry is when a vehicle that had to stop may have stopped.
const movingRetry = time.Minute

// Check applies the rules that need no state. Nil is approval.
func (p Policy) Check(a Ask) *Refusal {
	if p.Scopes != nil {
		allowed, ok := p.Scopes[a.Kind]
		if !ok {
			return &Refusal{Code: schemas.NotAllowed, Reason: fmt.Sprintf("devices of kind %v may not ask", a.Kind)}
		}
		for _, s := range a.Scope {
			if s != "openid" && !slices.Contains(allowed, s) {
				return &Refusal{Code: schemas.InvalidScope, Reason: fmt.Sprintf("scope %q is not allowed to devices of kind %v", s, a.Kind)}
			}
		}
	}
	if len(a.Purpose) > p.MaxPurpose {
		return &Refusal{Code: schemas.NotAllowed, Reason: fmt.Sprintf("purpose of %d bytes, limit %d", len(a.Purpose), p.MaxPurpose)}
	}
	if a.Moving && (p.Moving == MovingRefused || p.Moving == MovingNotDriver && a.Seat <= 1) {
		return &Refusal{Code: schemas.NotAllowed, RetryAfter: movingRetry, Reason: "the vehicle moves"}
	}
	return nil
}

// Expiry returns how long the phone rings when a device wishes for wanted; 0
// leaves it to the policy.
func (p Policy) Expiry(wanted time.Duration) time.Duration {
	if wanted == 0 {
		return p.DefaultExpiry
	}
	return min(max(wanted, p.MinExpiry), p.MaxExpiry)
}
