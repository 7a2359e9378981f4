package schemas_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"testing"

	"github.com/carillon-iot/carillon/schemas"
)

// A key that is not in memory: it sees what a TPM or a PKCS#11 module would.
type hardware struct {
	key  crypto.Signer
	opts []crypto.SignerOpts
}

func (h *hardware) Public() crypto.PublicKey { return h.key.Public() }

func (h *hardware) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	h.opts = append(h.opts, opts)
	if opts.HashFunc() != 0 && opts.HashFunc().Size() != len(digest) {
		return nil, fmt.Errorf("digest of %d bytes", len(digest))
	}
	return h.key.Sign(r, digest, opts)
}

func TestHardwareKeys(t *testing.T) {
	ring := newKeyring()
	for name, want := range map[string]crypto.Hash{"device-1": crypto.SHA256, "device-2": 0} {
		k := ring.signing[name]
		h := &hardware{key: k.key.Signer}
		s, err := schemas.NewSigner(h, ring.chain(name))
		if err != nil {
			t.Fatal(err)
		}
		data, err := s.Sign(schemas.UpTopic(device1), &schemas.Cancel{ID: schemas.ID{1}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseAndVerify(schemas.UpTopic(device1), data, k.cert); err != nil {
			t.Error(err)
		}
		if len(h.opts) != 1 || h.opts[0].HashFunc() != want {
			t.Errorf("%s was told %v, want %v", name, h.opts, want)
		}
	}
}

func TestSignerRefuses(t *testing.T) {
	ring := newKeyring()
	one, two := ring.signing["device-1"], ring.signing["device-2"]
	chain := ring.chain("device-1")
	big := *one.cert
	big.Raw = make([]byte, 2049)
	for name, c := range map[string]struct {
		key   crypto.Signer
		chain []*x509.Certificate
	}{
		"no chain":              {one.key, nil},
		"five certificates":     {one.key, append(append([]*x509.Certificate{}, chain...), chain[0], chain[0], chain[0])},
		"another's certificate": {two.key, chain},
		"a large certificate":   {one.key, []*x509.Certificate{&big}},
	} {
		if s, err := schemas.NewSigner(c.key, c.chain); err == nil || s != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	s := ring.signer("device-1")
	for name, top := range map[string]schemas.Topic{"the other way": schemas.DownTopic(device1), "no way": {Device: device1}} {
		if data, err := s.Sign(top, &schemas.Cancel{ID: schemas.ID{1}}); classOf(err) != "wrong-way" || data != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	up := schemas.UpTopic(device1)
	if data, err := s.Sign(up, &schemas.Cancel{}); classOf(err) != "missing" || data != nil {
		t.Errorf("no id: %v", err)
	}
	down := ring.signer("bridge-1")
	welcome := schemas.Welcome{ID: schemas.ID{1}, IssuedAt: 1, Versions: schemas.Speaks(), Name: schemas.WelcomeID{1}, Sealing: &schemas.PublicKey{1}}
	for range 8 {
		welcome.Peers = append(welcome.Peers, make([]byte, 2048))
	}
	if data, err := down.Sign(schemas.DownTopic(device1), &welcome); classOf(err) != "too-large" || data != nil {
		t.Errorf("too large: %v", err)
	}
}

// Sealing to a point of low order would give a secret that everybody knows.
func TestSealToLowOrder(t *testing.T) {
	for _, first := range []byte{0, 1} {
		if sealed, err := schemas.SealPrivate(schemas.PublicKey{first}, device1, schemas.ID{1}, schemas.Private{LoginHint: "anna"}); err == nil || sealed != nil {
			t.Errorf("sealed to %d", first)
		}
	}
	p384 := try(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	if k, err := schemas.NewConfirmKey(&p384.PublicKey); classOf(err) != "alg" || k != nil {
		t.Errorf("confirm key on P-384: %v", err)
	}
}
