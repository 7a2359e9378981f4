package ciba

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
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
	// address; at most MaxLoginHint bytes. Where Config.Profile wants the format
	// iss_sub, it is the person's subject at the provider, or such an object.
	LoginHint string
	// LoginHintToken names the person in a token; at most MaxHintToken bytes.
	LoginHintToken string
	// IDTokenHint is an ID token that the provider issued earlier; at most
	// MaxHintToken bytes.
	IDTokenHint string
	// BindingMessage is shown on both screens, so that the person can see that
	// they approve what they see; "" for none. At most MaxBindingMessage bytes of
	// printable text; providers allow less: profile.Binding.New makes one that they
	// take.
	BindingMessage string
	// RequestedExpiry is how long the person has to decide, in whole seconds; 0
	// leaves it to the provider. With some it selects the channel, see
	// profile.Expiry.
	RequestedExpiry time.Duration
	// ACRValues are the authentication context classes wanted, best first; nil
	// for none. The provider may ignore them: check with Expect.ACRValues.
	ACRValues []string
	// UserCode is the secret that some providers demand as a guard against
	// unsolicited pushes; "" for none. It must not be stored.
	UserCode string
	// NotificationToken is what the provider proves itself with when it pings or
	// pushes: one of [NotificationTokens], or any b64token of 160 bits or more that
	// is new in each request. Required unless Delivery is DeliveryPoll, where it is
	// not allowed.
	NotificationToken string
	// AuthorizationDetails say what is wanted beyond Scope (RFC 9396): each is a
	// JSON object whose member "type" says what the others mean; nil for none. At
	// most MaxDetails of them, of MaxAuthorizationDetails bytes together, and only
	// of types that the provider's metadata lists if it lists any.
	AuthorizationDetails []json.RawMessage
	// Resource names the services that the access token is for, as absolute URIs
	// (RFC 8707); nil for none.
	Resource []string
	// Audience names the service that the access token is for in the way of Auth0;
	// "" for none.
	Audience string
	// RequestContext is a JSON object about the device and the situation (FAPI-CIBA
	// section 5.2.2), such as its location; nil for none. At most
	// MaxRequestContext bytes.
	RequestContext json.RawMessage
	// Extra are further parameters, such as "claims"; nil for none. Parameters
	// that this package sends itself are refused here.
	Extra url.Values
}

// Limits of an [AuthenticationRequest], in bytes.
const (
	MaxLoginHint      = 2048
	MaxHintToken      = 16 << 10
	MaxBindingMessage = 256
	MaxScope          = 4096 // also of ACRValues
	MaxExtra          = 32 << 10
)

// reserved are the parameters that this package sends or that change what it
// sends, and which are therefore not allowed in Extra. It is read only.
var reserved = []string{
	"scope", "login_hint", "login_hint_token", "id_token_hint", "binding_message",
	"requested_expiry", "request_expiry", "acr_values", "user_code", "client_notification_token",
	"authorization_details", "resource", "audience", "request_context",
	"request", "request_uri", "grant_type", "auth_req_id",
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti",
	"client_id", "client_secret", "client_assertion", "client_assertion_type",
}

// Validate reports the first field that breaks a rule of this package, or that a
// provider with this profile does not take, as a [*FieldError]. What its metadata
// says is another question, which RequestAuthentication asks.
func (r *AuthenticationRequest) Validate(p profile.Profile) error {
	for _, check := range []func() error{
		r.checkScope, r.checkHints, r.checkBindingMessage, r.checkRest,
		r.checkDetails, r.checkTargets, r.checkExtra,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return r.checkProfile(p)
}

func (r *AuthenticationRequest) checkScope() error {
	if err := checkTokens("Scope", r.Scope); err != nil {
		return err
	}
	for _, s := range r.Scope {
		if s == "openid" {
			return nil
		}
	}
	return fieldErrorf("Scope", "%q does not contain %q", r.Scope, "openid")
}

// checkTokens wants a list whose elements are separated by blanks when sent
// (RFC 6749 section 3.3).
func checkTokens(field string, list []string) error {
	size := 0
	for i, s := range list {
		size += len(s) + 1
		if s == "" || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == '"' || c == '\\' || c > '~' }) {
			return fieldErrorf(field, "element %d is empty or has a character that is not allowed: blanks, quotes, backslashes and everything outside ASCII", i)
		}
	}
	if size > MaxScope {
		return fieldErrorf(field, "has %d bytes, at most %d are allowed", size, MaxScope)
	}
	return nil
}

func (r *AuthenticationRequest) checkHints() error {
	hints := 0
	for _, h := range []struct {
		field, value string
		limit        int
	}{
		{"LoginHint", r.LoginHint, MaxLoginHint},
		{"LoginHintToken", r.LoginHintToken, MaxHintToken},
		{"IDTokenHint", r.IDTokenHint, MaxHintToken},
	} {
		if h.value != "" {
			hints++
		}
		if err := checkText(h.field, h.value, h.limit); err != nil {
			return err
		}
	}
	if hints != 1 {
		return fieldErrorf("LoginHint", "%d of LoginHint, LoginHintToken and IDTokenHint are set, want exactly one", hints)
	}
	return nil
}

// checkText wants at most limit bytes of printable text. The error does not
// quote it.
func checkText(field, s string, limit int) error {
	if len(s) > limit {
		return fieldErrorf(field, "has %d bytes, at most %d are allowed", len(s), limit)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return fieldErrorf(field, "has an unprintable character")
	}
	return nil
}

func (r *AuthenticationRequest) checkBindingMessage() error {
	return checkText("BindingMessage", r.BindingMessage, MaxBindingMessage)
}

func (r *AuthenticationRequest) checkRest() error {
	if r.RequestedExpiry < 0 || r.RequestedExpiry > MaxLifetime || r.RequestedExpiry%time.Second != 0 {
		return fieldErrorf("RequestedExpiry", "is %v, want whole seconds up to %v, or 0 for none", r.RequestedExpiry, MaxLifetime)
	}
	if err := checkTokens("ACRValues", r.ACRValues); err != nil {
		return err
	}
	return checkText("UserCode", r.UserCode, MaxBindingMessage)
}

func (r *AuthenticationRequest) checkExtra() error {
	for _, name := range reserved {
		if r.Extra.Has(name) {
			return fieldErrorf("Extra", "parameter %q has its own place and is not allowed here", name)
		}
	}
	size := len(r.Extra.Encode())
	if size > MaxExtra {
		return fieldErrorf("Extra", "has %d bytes, at most %d are allowed", size, MaxExtra)
	}
	return nil
}
