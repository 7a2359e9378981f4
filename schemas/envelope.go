package schemas

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
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
	Alg   *int64          `cbor:"1,keyasint,omitempty"`
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

// A Signer signs messages as the holder of one certificate.
type Signer struct {
	cose  cose.Signer
	alg   cose.Algorithm
	kid   KeyID
	chain []*x509.Certificate
}

// NewSigner returns a signer for the certificate chain (leaf first, root left
// out) whose key is key. The key is P-256 (ES256) or Ed25519 (EdDSA) and may
// live in a file, a PKCS#11 token or a TPM.
func NewSigner(key crypto.Signer, chain []*x509.Certificate) (*Signer, error) {
	if len(chain) == 0 || len(chain) > maxChain {
		return nil, fmt.Errorf("chain of %d certificates, want 1 to %d", len(chain), maxChain)
	}
	alg, err := algorithm(chain[0].PublicKey)
	if err != nil {
		return nil, err
	}
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(chain[0].PublicKey) {
		return nil, errors.New("key and certificate do not belong together")
	}
	s, err := cose.NewSigner(alg, key)
	if err != nil {
		return nil, err
	}
	return &Signer{cose: s, alg: alg, kid: KeyIDOf(chain[0]), chain: chain}, nil
}

// KeyID returns the kid that every message of this signer bears.
func (s *Signer) KeyID() KeyID { return s.kid }

// Chain returns the certificates, leaf first.
func (s *Signer) Chain() []*x509.Certificate { return s.chain }

// Sign returns the COSE_Sign1 that is published on the topic. A Hello bears
// the certificate chain, and so does a Welcome that names the sealing key.
// Errors: an [*Error] where m breaks the format, else the key's.
func (s *Signer) Sign(t Topic, m Message) ([]byte, error) {
	if m.Kind().Way() != t.Way {
		return nil, failf(ClassWay, "type", "%v does not travel %v", m.Kind(), t.Way)
	}
	payload, err := MarshalPayload(m)
	if err != nil {
		return nil, err
	}
	alg := int64(s.alg)
	h := header{Alg: &alg, Kid: &s.kid}
	if bearsChain(m) {
		h.Chain = (*chain)(&s.chain)
	}
	return s.seal(t, marshal(h), payload)
}

// seal signs payload under an encoded protected header.
func (s *Signer) seal(t Topic, protected, payload []byte) ([]byte, error) {
	msg := cose.UntaggedSign1Message{
		Headers: cose.Headers{RawProtected: marshal(protected), RawUnprotected: []byte{0xa0}},
		Payload: payload,
	}
	if err := msg.Headers.UnmarshalFromRaw(); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if err := msg.Sign(rand.Reader, []byte(t.String()), s.cose); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	out := marshal(sign1{Protected: protected, Payload: payload, Signature: msg.Signature})
	if limit := maxBytes(t.Way); len(out) > limit {
		return nil, failf(ClassTooLarge, "", "%d bytes, limit %d", len(out), limit)
	}
	return out, nil
}

func bearsChain(m Message) bool {
	switch m := m.(type) {
	case *Hello:
		return true
	case *Welcome:
		return m.Sealing != nil
	}
	return false
}

// algorithm returns the one algorithm that goes with a public key.
func algorithm(pub crypto.PublicKey) (cose.Algorithm, error) {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return cose.AlgorithmES256, nil
		}
		return 0, failf(ClassAlg, "key", "ECDSA on %s, want P-256", k.Curve.Params().Name)
	case ed25519.PublicKey:
		return cose.AlgorithmEdDSA, nil
	}
	return 0, failf(ClassAlg, "key", "%T, want ECDSA P-256 or Ed25519", pub)
}

// An Envelope is a message that is taken apart but not verified yet: nothing
// in it may be trusted.
type Envelope struct {
	Topic Topic
	KeyID KeyID               // whose signature it claims to bear
	Chain []*x509.Certificate // of hello and welcome, parsed only; nil elsewhere

	alg       int64
	raw       sign1
	unchecked Message
}

// Parse takes apart what arrived on a topic. Errors are [*Error].
func Parse(t Topic, data []byte) (*Envelope, error) {
	if limit := maxBytes(t.Way); len(data) > limit {
		return nil, failf(ClassTooLarge, "", "%d bytes, limit %d", len(data), limit)
	}
	e := &Envelope{Topic: t}
	if err := unmarshal(data, &e.raw, nil); err != nil {
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
	case *h.Alg != int64(cose.AlgorithmES256) && *h.Alg != int64(cose.AlgorithmEdDSA):
		return failf(ClassAlg, "alg", "%d, want -7 (ES256) or -8 (EdDSA)", *h.Alg)
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
	if int64(alg) != e.alg {
		return nil, failf(ClassAlg, "alg", "%d, the certificate's key asks for %d", e.alg, alg)
	}
	v, err := cose.NewVerifier(alg, sender.PublicKey)
	if err != nil {
		return nil, &Error{ClassAlg, "key", err}
	}
	msg := cose.UntaggedSign1Message{
		Headers:   cose.Headers{RawProtected: marshal(e.raw.Protected), RawUnprotected: []byte{0xa0}},
		Payload:   e.raw.Payload,
		Signature: e.raw.Signature,
	}
	if err := msg.Headers.UnmarshalFromRaw(); err != nil {
		return nil, &Error{ClassHeader, "protected", err}
	}
	if err := msg.Verify([]byte(e.Topic.String()), v); err != nil {
		return nil, failf(ClassSignature, "", "does not verify on topic %v", e.Topic)
	}
	return e.unchecked, nil
}
