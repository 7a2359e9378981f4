package ciba

import (
	"net/url"
	"time"
)

// An AuthenticationRequest asks a provider to authenticate a person (CIBA Core
// section 7.1). Exactly one of the three hints must be set.
//
// It contains personal data; printing it shows none.
type AuthenticationRequest struct {
	// Scope must contain "openid". Each element is one scope token (RFC 6749
	// section 3.3).
	Scope []string
	// LoginHint names the person in a form the provider knows, such as an e-mail
	// address; at most MaxLoginHint bytes.
	LoginHint string
	// LoginHintToken names the person in a token; at most MaxHintToken bytes.
	LoginHintToken string
	// IDTokenHint is an ID token that the provider issued earlier; at most
	// MaxHintToken bytes.
	IDTokenHint string
	// BindingMessage is shown on both screens, so that the person can see that
	// they approve what they see; "" for none. At most MaxBindingMessage bytes of
	// printable text; providers allow less, see [NewBindingMessage].
	BindingMessage string
	// RequestedExpiry is how long the person has to decide, in whole seconds; 0
	// leaves it to the provider.
	RequestedExpiry time.Duration
	// ACRValues are the authentication context classes wanted, best first; nil
	// for none. The provider may ignore them: check with Expect.ACRValues.
	ACRValues []string
	// UserCode is the secret that some providers demand as a guard against
	// unsolicited pushes; "" for none. It must not be stored.
	UserCode string
	// Extra are further parameters, such as "audience"; nil for none. Parameters
	// that this package sends itself are refused here.
	Extra url.Values
}

// Limits of an [AuthenticationRequest], in bytes.
const (
	MaxLoginHint      = 2048
	MaxHintToken      = 16 << 10
	MaxBindingMessage = 256
	MaxScope          = 4096
)

// MaxLifetime bounds requested_expiry and expires_in.
const MaxLifetime = 7 * 24 * time.Hour

// MaxInterval bounds the interval of an acknowledgement.
const MaxInterval = time.Hour

// An Acknowledgement is the provider's promise to ask the person (CIBA Core
// section 7.3). Printing it shows no auth_req_id.
type Acknowledgement struct {
	// AuthReqID names the authentication request. It is opaque, may be longer
	// than 1,000 bytes, and belongs neither on a screen nor in a log.
	AuthReqID string
	// ExpiresIn is the life of AuthReqID as the provider says it, from now on.
	ExpiresIn time.Duration
	// RequestedExpiry is the request's own, 0 if it had none.
	RequestedExpiry time.Duration
	// Interval is the least time between two token requests: DefaultInterval if
	// the provider names none.
	Interval time.Duration
}

// Lifetime is how long to wait for the person: the shorter of ExpiresIn and
// RequestedExpiry, because some providers honour the requested expiry but do
// not say so.
func (a Acknowledgement) Lifetime() time.Duration {
	if a.RequestedExpiry > 0 {
		return min(a.ExpiresIn, a.RequestedExpiry)
	}
	return a.ExpiresIn
}
