package schemas

import "fmt"

// A Class says in which way a message is bad. The vectors name these words,
// so they are part of the format: other implementations report the same.
type Class string

// The classes of failure, roughly in the order in which they are looked for.
// Of several faults in one message any may be reported.
const (
	ClassTooLarge     Class = "too-large"      // more bytes than MaxUp or MaxDown
	ClassMalformed    Class = "malformed"      // not well-formed CBOR, or not text where text must be
	ClassTrailing     Class = "trailing-bytes" // bytes after the item
	ClassIndefinite   Class = "indefinite"     // indefinite length
	ClassTag          Class = "tag"            // a CBOR tag
	ClassTooDeep      Class = "too-deep"       // nested deeper, or with more elements, than any message has
	ClassDuplicateKey Class = "duplicate-key"  // the same map key twice
	ClassUnknownKey   Class = "unknown-key"    // a map key this version does not know
	ClassWrongType    Class = "wrong-type"     // a value of another type than the key asks for
	ClassMissing      Class = "missing"        // a required key is absent, or its value zero or empty
	ClassLimit        Class = "limit"          // a value outside its range or length
	ClassConflict     Class = "conflict"       // keys that exclude each other
	ClassNotCanonical Class = "not-canonical"  // decodes, but is not the deterministic encoding (also: an optional value that is zero or empty)
	ClassWay          Class = "wrong-way"      // an up message on a down topic, or the reverse
	ClassHeader       Class = "header"         // a COSE header that must not be there, or is missing
	ClassCrit         Class = "crit"           // the crit header: nothing critical is known
	ClassAlg          Class = "alg"            // alg missing, unknown, or not the one of the key's curve
	ClassKey          Class = "wrong-key"      // kid is not that of the certificate
	ClassSignature    Class = "signature"      // the signature does not verify (also: on another topic)
	ClassSealed       Class = "sealed"         // a sealed part does not open
	ClassStale        Class = "stale"          // issued outside the freshness window
)

// An Error is any failure to decode, check, verify or open.
type Error struct {
	Class Class
	Field string // name of the field or header in the CDDL, or ""
	Err   error  // what was found and what is allowed; never a secret
}

func (e *Error) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s: %v", e.Class, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Class, e.Field, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func failf(c Class, field, format string, args ...any) *Error {
	return &Error{c, field, fmt.Errorf(format, args...)}
}
