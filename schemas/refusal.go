package schemas

import "fmt"

// A Code says why a request was refused. The list is closed and append-only:
// numbers are never reused, and a device treats a number it does not know as
// internal.
type Code uint8

// The refusal codes. Those marked "repeat" do not end the request: the device
// puts the matter right and sends the same id again. All others are final.
const (
	UnknownKey          Code = 1  // repeat: the kid is not known, send hello first
	ClockSkew           Code = 2  // repeat: iat is outside the window; take the offset from this message's iat
	Busy                Code = 3  // repeat after retry_after: the bridge takes no new work now
	Malformed           Code = 4  // the message is signed but breaks the format
	UnsupportedVersion  Code = 5  // no version in common
	NotAllowed          Code = 6  // this device may not ask (revoked, retired, wrong class)
	InvalidScope        Code = 7  // a scope that this device, or the provider, does not allow
	TooManyRequests     Code = 8  // a quota is spent, or the person said no a moment ago: ask again after retry_after
	AlreadyRinging      Code = 9  // the person has another open request
	UnknownPerson       Code = 10 // nobody is known by that handle or hint
	AccessDenied        Code = 11 // the person, or the provider on their behalf, said no
	Expired             Code = 12 // nobody answered in time
	Cancelled           Code = 13 // the device withdrew it
	Interrupted         Code = 14 // the outcome is unknown and it is not repeated: ask the person to try again
	WrongPerson         Code = 15 // somebody else approved
	ProviderUnavailable Code = 16 // the provider does not answer: ask again after retry_after
	ProviderError       Code = 17 // the provider answered what it must not
	UnknownSession      Code = 18 // no such session, or it cannot be renewed any more
	Unsupported         Code = 19 // this bridge does not offer that
	Internal            Code = 20 // the bridge's own fault
)

var codes = [...]string{
	UnknownKey:          "unknown_key",
	ClockSkew:           "clock_skew",
	Busy:                "busy",
	Malformed:           "malformed",
	UnsupportedVersion:  "unsupported_version",
	NotAllowed:          "not_allowed",
	InvalidScope:        "invalid_scope",
	TooManyRequests:     "too_many_requests",
	AlreadyRinging:      "already_ringing",
	UnknownPerson:       "unknown_person",
	AccessDenied:        "access_denied",
	Expired:             "expired",
	Cancelled:           "cancelled",
	Interrupted:         "interrupted",
	WrongPerson:         "wrong_person",
	ProviderUnavailable: "provider_unavailable",
	ProviderError:       "provider_error",
	UnknownSession:      "unknown_session",
	Unsupported:         "unsupported",
	Internal:            "internal",
}

// String returns the code's name in the CDDL.
func (c Code) String() string {
	if c == 0 || int(c) >= len(codes) {
		return fmt.Sprintf("code %d", uint8(c))
	}
	return codes[c]
}

// Codes returns every code of this version, in order.
func Codes() []Code {
	all := make([]Code, 0, len(codes)-1)
	for c := range codes[1:] {
		all = append(all, Code(c+1))
	}
	return all
}

// Final reports whether the code ends the request. A number this version does
// not know is final.
func (c Code) Final() bool { return c > Busy }

// check accepts codes of later versions: the list grows, and a device must not
// wait for ever because it does not know the word.
func (c Code) check() error { return needField("code", c != 0) }
