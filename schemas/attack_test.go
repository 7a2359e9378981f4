package schemas_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/schemas"
	"github.com/veraison/go-cose"
)

// vectorNamed returns one of messages.json.
func vectorNamed(t testing.TB, name string) messageVector {
	t.Helper()
	for _, v := range load[messageFile](t, "messages.json").Vectors {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no vector %s", name)
	return messageVector{}
}

// parseAndVerify is what a receiver does.
func parseAndVerify(top schemas.Topic, data []byte, cert *x509.Certificate) (schemas.Message, error) {
	e, err := schemas.Parse(top, data)
	if err != nil {
		return nil, err
	}
	return e.Verify(cert)
}

// Does any one bit of a message go unnoticed?
func TestEveryBitCounts(t *testing.T) {
	keys := loadSigning(t)
	for _, name := range []string{"sign-in-paired", "sign-in-paired-eddsa", "hello-one-certificate", "refused-clock-skew", "granted"} {
		v := vectorNamed(t, name)
		top, cert := topic(t, v.Topic), keys[v.Signer].cert
		for i := range len(v.Message) * 8 {
			data := bytes.Clone(v.Message)
			data[i/8] ^= 1 << (i % 8)
			if m, err := parseAndVerify(top, data, cert); err == nil || m != nil {
				t.Fatalf("%s: bit %d may be flipped", name, i)
			}
		}
		for n := range v.Message {
			if e, err := schemas.Parse(top, v.Message[:n]); err == nil || e != nil {
				t.Fatalf("%s: %d of its bytes are enough", name, n)
			}
		}
	}
}

// Is a message of any use on another topic?
func TestEveryTopicCounts(t *testing.T) {
	keys := loadSigning(t)
	for _, v := range load[messageFile](t, "messages.json").Vectors {
		home := topic(t, v.Topic)
		for _, d := range []schemas.DeviceID{device1, device2, "x"} {
			for _, top := range []schemas.Topic{schemas.UpTopic(d), schemas.DownTopic(d)} {
				m, err := parseAndVerify(top, v.Message, keys[v.Signer].cert)
				if (err == nil) != (top == home) || (m != nil) != (top == home) {
					t.Errorf("%s on %v: %v", v.Name, top, err)
				}
			}
		}
	}
}

// Does any one bit of a sealed part go unnoticed?
func TestEverySealedBitCounts(t *testing.T) {
	sealing := loadSealing(t)
	for _, v := range load[sealedFile](t, "sealed.json").Vectors {
		for i := range len(v.Sealed) * 8 {
			// X25519 ignores the highest bit of a public key (RFC 7748 section 5),
			// but HPKE derives the key from its bytes too.
			data := bytes.Clone(v.Sealed)
			data[i/8] ^= 1 << (i % 8)
			if err := openAs(v.As, sealing[v.Key], topic(t, v.Topic).Device, schemas.ID(v.ID), data); err == nil {
				t.Fatalf("%s: bit %d may be flipped", v.Name, i)
			}
		}
	}
}

func openAs(as string, k *schemas.SealKey, d schemas.DeviceID, id schemas.ID, data []byte) error {
	if as == "grant" {
		_, err := schemas.OpenGrant(k, d, id, data)
		return err
	}
	_, err := schemas.OpenPrivate(k, d, id, data)
	return err
}

// goCose verifies as go-cose alone would.
func goCose(message []byte, external string, alg cose.Algorithm, pub crypto.PublicKey) error {
	var m cose.UntaggedSign1Message
	if err := m.UnmarshalCBOR(message); err != nil {
		return err
	}
	v, err := cose.NewVerifier(alg, pub)
	if err != nil {
		return err
	}
	return m.Verify([]byte(external), v)
}

// Each of these go-cose accepts, and for each there is a vector that we do
// not. If go-cose has learnt to refuse one, this test says so, and the reason
// for our own check can go.
func TestTrapsOfGoCose(t *testing.T) {
	g := &generator{keys: newKeyring()}
	top := schemas.UpTopic(device1)
	cert := g.keys.signing["device-1"].cert
	base := func() envelope { return g.upEnvelope(cancelPayload()) }
	for name, c := range map[string]struct {
		class string
		spoil func(*envelope)
	}{
		"alg missing":       {"alg", func(e *envelope) { e.protected = g.header("device-1").without(1).encode() }},
		"unknown crit":      {"crit", func(e *envelope) { e.protected = g.header("device-1").with(2, arr(num(4))).encode() }},
		"unknown label":     {"unknown-key", func(e *envelope) { e.protected = g.header("device-1").with(-70000, num(1)).encode() }},
		"kid missing":       {"header", func(e *envelope) { e.protected = g.header("device-1").without(4).encode() }},
		"kid of any length": {"limit", func(e *envelope) { e.protected = g.header("device-1").with(4, bstr(nil)).encode() }},
		"unprotected alg":   {"unknown-key", func(e *envelope) { e.unprotected = amap(num(1), num(-7)) }},
		"order of keys": {"not-canonical", func(e *envelope) {
			e.protected = amap(num(4), bstr(g.keys.kid("device-1")), num(1), num(-7))
		}},
		"tag in a header": {"tag", func(e *envelope) { e.protected = g.header("device-1").with(33, cat(item{0xc1}, num(1))).encode() }},
	} {
		e := base()
		c.spoil(&e)
		data := g.sign(e)
		if err := goCose(data, e.topic, cose.AlgorithmES256, cert.PublicKey); err != nil {
			t.Errorf("%s: go-cose refuses it now: %v", name, err)
		}
		if _, err := parseAndVerify(top, data, cert); classOf(err) != c.class {
			t.Errorf("%s: %v, want class %s", name, err, c.class)
		}
	}
}

// Would a signer or a verifier take a key on another curve for ES256?
func TestCurveOfGoCose(t *testing.T) {
	ring := newKeyring()
	key, cert := ring.signing["device-1-p384"].key, ring.signing["device-1-p384"].cert
	if _, err := cose.NewSigner(cose.AlgorithmES256, key); err != nil {
		t.Errorf("go-cose refuses it now: %v", err)
	}
	if s, err := schemas.NewSigner(key, []*x509.Certificate{cert}); classOf(err) != "alg" || s != nil {
		t.Errorf("signer on P-384: %v", err)
	}
}

// ES256 signatures come in pairs: with (r, s) also (r, n-s) verifies, and COSE
// does not ask for the lower one. Nothing may depend on the bytes of a
// signature, so both are the same message.
func TestSecondSignature(t *testing.T) {
	v := vectorNamed(t, "sign-in-paired")
	cert := loadSigning(t)[v.Signer].cert
	n := elliptic.P256().Params().N
	other := bytes.Clone(v.Message)
	s := other[len(other)-32:]
	new(big.Int).Sub(n, new(big.Int).SetBytes(s)).FillBytes(s)
	first, err := parseAndVerify(topic(t, v.Topic), v.Message, cert)
	if err != nil {
		t.Fatal(err)
	}
	second, err := parseAndVerify(topic(t, v.Topic), other, cert)
	if err != nil {
		t.Fatalf("the other s: %v", err)
	}
	if first.RequestID() != second.RequestID() {
		t.Error("two requests out of one")
	}
	copy(s, bytes.Repeat([]byte{0xff}, 32))
	if _, err := parseAndVerify(topic(t, v.Topic), other, cert); classOf(err) != "signature" {
		t.Errorf("s above the order: %v", err)
	}
}

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
	if data, err := down.Sign(schemas.DownTopic(device1), &schemas.Granted{ID: schemas.ID{1}, Sealed: make([]byte, schemas.MaxDown)}); classOf(err) != "too-large" || data != nil {
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

const secret = "anna.secret@example.com"

// Does an error, or a log line, tell what was sealed?
func TestSecretsStaySecret(t *testing.T) {
	k := try(schemas.ParseSealKey(seed("response-1")))
	var said []string
	spoilt := []schemas.Private{
		{LoginHint: secret + "\n"}, {LoginHint: secret, IDTokenHint: secret}, {LoginHint: strings.Repeat(secret, 20)},
		{LoginHintToken: secret + "\xff"}, {Purpose: secret + strings.Repeat("x", 128)},
	}
	for _, p := range spoilt {
		_, err := schemas.SealPrivate(k.Public(), device1, schemas.ID{1}, p)
		if err == nil {
			t.Fatal("sealed")
		}
		said = append(said, err.Error())
	}
	for _, s := range []schemas.Grant{{AccessToken: []byte(secret)}, {AccessToken: []byte(secret), ExpiresIn: 1, Person: schemas.Handle{1}, Name: secret + "\n"}} {
		_, err := schemas.SealGrant(k.Public(), device1, schemas.ID{1}, s)
		if err == nil {
			t.Fatal("sealed")
		}
		said = append(said, err.Error())
	}
	// Plaintexts whose very keys are the secret.
	for _, plain := range []item{amap(tstr(secret), num(1)), amap(tstr(secret), num(1), tstr(secret), num(1)), amap(num(-27), bstr([]byte(secret))), tstr(secret)} {
		s := goodPrivate()
		s.to, s.plaintext = "bridge-sealing", plain
		_, err := schemas.OpenPrivate(try(schemas.ParseSealKey(seed("bridge-sealing"))), device1, id(2), s.seal())
		if err == nil {
			t.Fatal("opened")
		}
		said = append(said, err.Error())
	}
	p, g := schemas.Private{LoginHint: secret}, schemas.Grant{AccessToken: []byte(secret), Name: secret}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		said = append(said, fmt.Sprintf(verb, p), fmt.Sprintf(verb, &p), fmt.Sprintf(verb, g), fmt.Sprintf(verb, &g))
	}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("x", "p", p, "pp", &p, "g", g, "gg", &g)
	}
	said = append(said, log.String())
	hexed := fmt.Sprintf("%x", secret)
	numbers := strings.Trim(string(try(json.Marshal([]byte(secret)))), `"`)
	for _, s := range said {
		for _, leak := range []string{secret, hexed, numbers, "anna", fmt.Sprint([]byte(secret))[1:20]} {
			if strings.Contains(s, leak) {
				t.Errorf("%q tells %q", s, leak)
			}
		}
	}
}
