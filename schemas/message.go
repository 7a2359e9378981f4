package schemas

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// A Kind is the type of a message, the value of key -1. Append-only.
type Kind uint8

// Up messages are 1 to 10, down messages 11 to 20.
const (
	KindHello   Kind = 1
	KindSignIn  Kind = 2
	KindCancel  Kind = 3
	KindReceipt Kind = 4
	KindRenew   Kind = 5
	KindSignOut Kind = 6
	KindProof   Kind = 7

	KindWelcome Kind = 11
	KindPending Kind = 12
	KindGranted Kind = 13
	KindRefused Kind = 14
	KindProve   Kind = 15
	KindRevoked Kind = 16
)

var kinds = map[Kind]struct {
	name string
	make func() Message
}{
	KindHello:   {"hello", func() Message { return new(Hello) }},
	KindSignIn:  {"sign-in", func() Message { return new(SignIn) }},
	KindCancel:  {"cancel", func() Message { return new(Cancel) }},
	KindReceipt: {"receipt", func() Message { return new(Receipt) }},
	KindRenew:   {"renew", func() Message { return new(Renew) }},
	KindSignOut: {"sign-out", func() Message { return new(SignOut) }},
	KindProof:   {"proof", func() Message { return new(Proof) }},
	KindWelcome: {"welcome", func() Message { return new(Welcome) }},
	KindPending: {"pending", func() Message { return new(Pending) }},
	KindGranted: {"granted", func() Message { return new(Granted) }},
	KindRefused: {"refused", func() Message { return new(Refused) }},
	KindProve:   {"prove", func() Message { return new(Prove) }},
	KindRevoked: {"revoked", func() Message { return new(Revoked) }},
}

// String returns the name of the kind in the CDDL.
func (k Kind) String() string {
	if d, ok := kinds[k]; ok {
		return d.name
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Way returns the only direction in which messages of this kind travel.
func (k Kind) Way() Way {
	if k >= KindWelcome {
		return Down
	}
	return Up
}

// A Message is a pointer to one of the thirteen: [Hello], [SignIn], [Cancel],
// [Receipt], [Renew], [SignOut], [Proof] up; [Welcome], [Pending], [Granted],
// [Refused], [Prove], [Revoked] down.
type Message interface {
	// Kind is the value of key -1.
	Kind() Kind
	// RequestID is the id of the request the message is or answers, or of the
	// revocation.
	RequestID() ID
	// check applies the ranges and lengths of the CDDL.
	check() error
}

// MarshalPayload checks m and returns its deterministic encoding, which a
// [Signer] signs.
func MarshalPayload(m Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%v: %w", m.Kind(), err)
	}
	return marshal(m), nil
}

// UnmarshalPayload decodes the payload of a message that travels in the given
// way. What it accepts, [MarshalPayload] gives back byte for byte. Every
// error wraps an [*Error].
func UnmarshalPayload(way Way, data []byte) (Message, error) {
	if limit := maxBytes(way); len(data) > limit {
		return nil, failf(ClassTooLarge, "payload", "%d bytes, limit %d", len(data), limit)
	}
	kind, err := peekKind(data)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	def, ok := kinds[kind]
	if !ok {
		return nil, failf(ClassLimit, "type", "%d is no message of this version", uint8(kind))
	}
	if kind.Way() != way {
		return nil, failf(ClassWay, "type", "%s does not travel %v", def.name, way)
	}
	m := def.make()
	if err := unmarshal(data, m, m.check); err != nil {
		return nil, fmt.Errorf("%s: %w", def.name, err)
	}
	return m, nil
}

// peekKind reads key -1 alone. What is wrong with other keys, the strict
// decoding that follows says better.
func peekKind(data []byte) (Kind, error) {
	var head struct {
		Kind cbor.RawMessage `cbor:"-1,keyasint"`
	}
	if err := kndMode.Unmarshal(data, &head); err != nil && head.Kind == nil {
		return 0, codecError(err)
	}
	var kind Kind
	if head.Kind != nil {
		if err := decMode.Unmarshal(head.Kind, &kind); err != nil {
			return 0, codecError(err)
		}
	}
	return kind, needField("type", kind != 0)
}

func maxBytes(w Way) int {
	if w == Up {
		return MaxUp
	}
	return MaxDown
}

// kindOf is the constant value of key -1 in message M. It takes no space and
// the zero value is right, so callers leave it alone.
type kindOf[M interface{ Kind() Kind }] struct{}

// MarshalCBOR writes M's kind.
func (kindOf[M]) MarshalCBOR() ([]byte, error) {
	var m M
	return []byte{byte(m.Kind())}, nil
}

// UnmarshalCBOR accepts only M's kind.
func (kindOf[M]) UnmarshalCBOR(b []byte) error {
	var m M
	if len(b) != 1 || b[0] != byte(m.Kind()) {
		return failf(ClassNotCanonical, "type", "want %v", m.Kind())
	}
	return nil
}
