package schemas_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"math/big"
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
		step := len(v.Sealed)/500*2 + 1 // of the long ones not every bit, but bits of every place in a byte
		for i := 0; i < len(v.Sealed)*8; i += step {
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
