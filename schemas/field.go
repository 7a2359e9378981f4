package schemas

import (
	"math"
	"unicode"
	"unicode/utf8"
)

// Bounds of single fields, all in the CDDL.
const (
	maxScope       = 256
	maxShort       = 64 // acr, binding message, a person's name
	maxPurpose     = 128
	maxHint        = 256
	maxHintToken   = 3072
	maxNonce       = 256
	maxEndpoint    = 512
	maxToken       = 12288
	maxSealedUp    = 4096
	maxSealedDown  = MaxDown - 102 // what the rest of a granted leaves of the message
	maxPeers       = 8
	maxCertificate = 2048
	maxTime        = 1<<40 - 1 // seconds: the year 36812
)

// Versions is the inclusive range of protocol versions a side speaks. This
// package speaks 1 to 1; the topic's v1 is the same number.
type Versions struct {
	_   struct{} `cbor:",toarray"`
	Min uint8
	Max uint8
}

// Speaks is the range of this package.
var speaks = Versions{Min: 1, Max: 1}

// Speaks returns the range of versions this package speaks.
func Speaks() Versions { return speaks }

// Common reports whether the two ranges share a version, and the highest.
func (v Versions) Common(other Versions) (uint8, bool) {
	high := min(v.Max, other.Max)
	return high, high >= max(v.Min, other.Min)
}

func (v Versions) check() error {
	if v == (Versions{}) {
		return needField("versions", false)
	}
	if v.Min == 0 || v.Max < v.Min {
		return failf(ClassLimit, "versions", "[%d, %d], want 1 <= min <= max", v.Min, v.Max)
	}
	return nil
}

// A DeviceKind is what stands in front of the person. Append-only.
type DeviceKind uint8

// The kinds of device.
const (
	Car   DeviceKind = 1
	Till  DeviceKind = 2 // point of sale
	Kiosk DeviceKind = 3
	Desk  DeviceKind = 4 // a clerk's terminal, the person present
	Call  DeviceKind = 5 // a clerk's terminal, the person on the telephone
	Thing DeviceKind = 6 // anything else without a keyboard
)

var deviceKinds = [...]string{Car: "car", Till: "till", Kiosk: "kiosk", Desk: "desk", Call: "call", Thing: "thing"}

func (k DeviceKind) String() string {
	if k == 0 || int(k) >= len(deviceKinds) {
		return "unknown"
	}
	return deviceKinds[k]
}

// ParseDeviceKind is the inverse of String.
func ParseDeviceKind(s string) (DeviceKind, error) {
	for k, name := range deviceKinds {
		if s != "" && name == s {
			return DeviceKind(k), nil
		}
	}
	return 0, failf(ClassLimit, "device", "%.40q, want car, till, kiosk, desk, call or thing", s)
}

func (k DeviceKind) check() error {
	if k == 0 {
		return needField("device", false)
	}
	if int(k) >= len(deviceKinds) {
		return failf(ClassLimit, "device", "%d, want 1 to %d", k, len(deviceKinds)-1)
	}
	return nil
}

// A Seat is a place in a vehicle in VSS terms: three to a row, from the
// driver's side: 1 is Row1.DriverSide, 2 Row1.Middle, 3 Row1.PassengerSide,
// 4 Row2.DriverSide, and so on to 12. Zero is no seat.
type Seat uint8

func (s Seat) check() error {
	if s > 12 {
		return failf(ClassLimit, "seat", "%d, want 1 to 12", s)
	}
	return nil
}

// firstError returns the first error that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func needField(name string, present bool) error {
	if !present {
		return failf(ClassMissing, name, "required, and never empty or zero")
	}
	return nil
}

func needID(id ID) error        { return needField("cti", id != ID{}) }
func needKey(k PublicKey) error { return needField("response_key", k != PublicKey{}) }
func needTime(iat uint64) error {
	if iat > maxTime {
		return failf(ClassLimit, "iat", "%d seconds, limit %d", iat, uint64(maxTime))
	}
	return needField("iat", iat != 0)
}

// notZero refuses an optional value that is there and zero.
func notZero[T ID | Handle | KeyID | WelcomeID | PublicKey](name string, x *T) error {
	var zero T
	if x != nil && *x == zero {
		return failf(ClassNotCanonical, name, "all zero, where the key should be left out")
	}
	return nil
}

func exactlyOne(names string, present ...bool) error {
	n := 0
	for _, p := range present {
		if p {
			n++
		}
	}
	if n == 0 {
		return failf(ClassMissing, names, "exactly one is required")
	}
	if n > 1 {
		return failf(ClassConflict, names, "%d present, exactly one is allowed", n)
	}
	return nil
}

// checkScope wants scope-tokens (RFC 6749 section 3.3) with one space between.
func checkScope(s string) error {
	if s == "" {
		return needField("scope", false)
	}
	if len(s) > maxScope {
		return failf(ClassLimit, "scope", "%d bytes, limit %d", len(s), maxScope)
	}
	for i := range len(s) {
		c := s[i]
		space := c == ' ' && i > 0 && i < len(s)-1 && s[i-1] != ' '
		if !space && (c < 0x21 || c > 0x7e || c == '"' || c == '\\') {
			return failf(ClassLimit, "scope", "byte %#02x at %d, want scope-tokens with single spaces between", c, i)
		}
	}
	return nil
}

// checkText wants UTF-8 of at most limit bytes without control characters
// (Unicode category Cc). An error does not show the text: it may be a hint.
func checkText(name, s string, limit int) error {
	if len(s) > limit {
		return failf(ClassLimit, name, "%d bytes, limit %d", len(s), limit)
	}
	if !utf8.ValidString(s) {
		return failf(ClassMalformed, name, "not UTF-8")
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return failf(ClassLimit, name, "control character %U", r)
		}
	}
	return nil
}

// checkNonce wants NQCHAR (RFC 9449 section 8.1), so that it needs no escaping
// inside a JSON string.
func checkNonce(s string) error {
	if len(s) > maxNonce {
		return failf(ClassLimit, "nonce", "%d bytes, limit %d", len(s), maxNonce)
	}
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return failf(ClassLimit, "nonce", "byte %#02x at %d, want NQCHAR", c, i)
		}
	}
	return nil
}

func checkSealed(b []byte, limit int) error {
	if len(b) > limit {
		return failf(ClassLimit, "sealed", "%d bytes, limit %d", len(b), limit)
	}
	return nil
}

// checkNumbers wants the numbers of count proofs, from first, to fit two bytes.
func checkNumbers(names string, first uint16, count int) error {
	if last := int(first) + count - 1; last > math.MaxUint16 {
		return failf(ClassLimit, names, "last number %d, limit %d", last, math.MaxUint16)
	}
	return nil
}

func checkSessions(ids []ID) error {
	if len(ids) > maxElements {
		return failf(ClassLimit, "sessions", "%d, want 1 to %d", len(ids), maxElements)
	}
	for _, id := range ids {
		if id == (ID{}) {
			return failf(ClassLimit, "sessions", "an all-zero id")
		}
	}
	return nil
}
