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
	"io"

	"github.com/veraison/go-cose"
)

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
	for i, c := range chain {
		if len(c.Raw) > maxCertificate {
			return nil, fmt.Errorf("certificate %d of the chain has %d bytes, limit %d", i, len(c.Raw), maxCertificate)
		}
	}
	alg, err := algorithm(chain[0].PublicKey)
	if err != nil {
		return nil, err
	}
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(chain[0].PublicKey) {
		return nil, errors.New("key and certificate do not belong together")
	}
	if alg == cose.AlgorithmES256 {
		key = sha256Signer{key}
	}
	s, err := cose.NewSigner(alg, key)
	if err != nil {
		return nil, err
	}
	return &Signer{cose: s, alg: alg, kid: KeyIDOf(chain[0]), chain: chain}, nil
}

// sha256Signer tells an ECDSA key what was hashed. go-cose says nil, and a key
// in hardware may well ask.
type sha256Signer struct{ crypto.Signer }

func (s sha256Signer) Sign(rand io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return s.Signer.Sign(rand, digest, crypto.SHA256)
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
	h := header{Alg: &s.alg, Kid: &s.kid}
	if bearsChain(m) {
		h.Chain = (*chain)(&s.chain)
	}
	return s.seal(t, marshal(h), payload)
}

// seal signs payload under an encoded protected header.
func (s *Signer) seal(t Topic, protected, payload []byte) ([]byte, error) {
	msg := cose.UntaggedSign1Message{Headers: headers(s.alg, protected), Payload: payload}
	if err := msg.Sign(rand.Reader, []byte(t.String()), s.cose); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	out := marshal(sign1{Protected: protected, Payload: payload, Signature: msg.Signature})
	if limit := maxBytes(t.Way); len(out) > limit {
		return nil, failf(ClassTooLarge, "", "%d bytes, limit %d", len(out), limit)
	}
	return out, nil
}

// headers gives go-cose the protected header as it is on the wire, and beside
// it the one thing that go-cose reads in it. So it decodes nothing of what a
// stranger sent: it would let pass a missing alg and an unknown crit.
func headers(alg cose.Algorithm, protected []byte) cose.Headers {
	return cose.Headers{
		RawProtected: marshal(protected),
		Protected:    cose.ProtectedHeader{cose.HeaderLabelAlgorithm: alg},
	}
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
