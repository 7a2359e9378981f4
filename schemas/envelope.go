package schemas

import (
	"crypto/x509"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

// maxChain is how many certificates an x5chain may hold, leaf first, without
// the root.
const maxChain = 4

// header is the protected header: alg, kid and, in hello and welcome, x5chain.
// The unprotected header is always empty.
type header struct {
	Alg   *cose.Algorithm `cbor:"1,keyasint,omitempty"`
	Crit  cbor.RawMessage `cbor:"2,keyasint,omitempty"` // only to say what is wrong
	Kid   *KeyID          `cbor:"4,keyasint,omitempty"`
	Chain *chain          `cbor:"33,keyasint,omitempty"`
}

type sign1 struct {
	_           struct{} `cbor:",toarray"`
	Protected   Bytes
	Unprotected struct{}
	Payload     Bytes
	Signature   Bytes
}

// sigSize is the length of a signature of either algorithm.
const sigSize = 64

func (s *sign1) check() error {
	if len(s.Signature) != sigSize {
		return failf(ClassLimit, "signature", "%d bytes, want %d", len(s.Signature), sigSize)
	}
	return nil
}

// An Envelope is a message that is taken apart but not verified yet: nothing
// in it may be trusted.
type Envelope struct {
	Topic Topic
	KeyID KeyID               // whose signature it claims to bear
	Chain []*x509.Certificate // of hello and welcome, parsed only; nil elsewhere

	alg       cose.Algorithm
	raw       sign1
	unchecked Message
}

// Parse takes apart what arrived on a topic. Every error wraps an [*Error], and
// none says anything about who sent the message.
func Parse(t Topic, data []byte) (*Envelope, error) {
	if limit := maxBytes(t.Way); len(data) > limit {
		return nil, failf(ClassTooLarge, "", "%d bytes, limit %d", len(data), limit)
	}
	e := &Envelope{Topic: t}
	if err := unmarshal(data, &e.raw, e.raw.check); err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	if err := e.parseHeader(); err != nil {
		return nil, fmt.Errorf("protected header: %w", err)
	}
	m, err := UnmarshalPayload(t.Way, e.raw.Payload)
	if err != nil {
		return nil, err
	}
	if bearsChain(m) != (e.Chain != nil) {
		return nil, failf(ClassHeader, "x5chain", "hello, and a welcome that names a sealing key, bear a chain; nothing else does")
	}
	e.unchecked = m
	return e, nil
}

func (e *Envelope) parseHeader() error {
	var h header
	if err := unmarshal(e.raw.Protected, &h, nil); err != nil {
		return err
	}
	switch {
	case h.Crit != nil:
		return failf(ClassCrit, "crit", "no critical header is known")
	case h.Alg == nil:
		return failf(ClassAlg, "alg", "missing")
	case *h.Alg != cose.AlgorithmES256 && *h.Alg != cose.AlgorithmEdDSA:
		return failf(ClassAlg, "alg", "%d, want -7 (ES256) or -8 (EdDSA)", int64(*h.Alg))
	case h.Kid == nil:
		return failf(ClassHeader, "kid", "missing")
	}
	e.alg, e.KeyID = *h.Alg, *h.Kid
	if h.Chain != nil {
		e.Chain = *h.Chain
		if KeyIDOf(e.Chain[0]) != e.KeyID {
			return failf(ClassKey, "kid", "%v is not that of the chain's leaf", e.KeyID)
		}
	}
	return nil
}

// Unverified returns the message as it claims to be. Its one honest use is to
// answer unknown_key to its request id.
func (e *Envelope) Unverified() Message { return e.unchecked }

// Verify checks the signature against a certificate that the caller trusts for
// this topic's sender, and returns the message. Errors are [*Error] of class
// wrong-key, alg or signature.
func (e *Envelope) Verify(sender *x509.Certificate) (Message, error) {
	if kid := KeyIDOf(sender); kid != e.KeyID {
		return nil, failf(ClassKey, "kid", "%v, the certificate's is %v", e.KeyID, kid)
	}
	// go-cose would verify ES256 with a key on another curve.
	alg, err := algorithm(sender.PublicKey)
	if err != nil {
		return nil, err
	}
	if alg != e.alg {
		return nil, failf(ClassAlg, "alg", "%v, the certificate's key asks for %v", e.alg, alg)
	}
	v, err := cose.NewVerifier(alg, sender.PublicKey)
	if err != nil {
		return nil, &Error{ClassAlg, "key", err}
	}
	msg := cose.UntaggedSign1Message{
		Headers:   headers(alg, e.raw.Protected),
		Payload:   e.raw.Payload,
		Signature: e.raw.Signature,
	}
	if err := msg.Verify([]byte(e.Topic.String()), v); err != nil {
		return nil, failf(ClassSignature, "", "does not verify on topic %v", e.Topic)
	}
	return e.unchecked, nil
}

// bearsChain reports whether the envelope of m carries the sender's chain.
func bearsChain(m Message) bool {
	switch m := m.(type) {
	case *Hello:
		return true
	case *Welcome:
		return m.Sealing != nil
	}
	return false
}
