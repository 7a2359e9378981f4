package schemas_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// versus times ours and the cryptography beneath it in turns, and reports how
// much longer ours takes (x-raw) and what it adds (µs-over-raw). The time per
// operation that the benchmark prints is that of ours alone.
func versus(b *testing.B, ours, raw func()) {
	b.Helper()
	ours()
	raw()
	var own, base time.Duration
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		start := time.Now()
		ours()
		own += time.Since(start)
		b.StopTimer()
		start = time.Now()
		raw()
		base += time.Since(start)
		b.StartTimer()
		n++
	}
	b.ReportMetric(float64(own)/float64(base), "x-raw")
	b.ReportMetric(float64(own-base)/float64(n)/1e3, "µs-over-raw")
}

// benchKeys are the vectors' keys, not repeatable: as in production.
var benchKeys = map[string]string{"ES256": "device-1", "EdDSA": "device-2"}

func benchMessage(ring *keyring, name string) (*schemas.Signer, crypto.Signer, *x509.Certificate, *schemas.SignIn) {
	k := ring.signing[name]
	h := handle(1)
	s := try(schemas.NewSigner(k.key.Signer, ring.chain(name)))
	return s, k.key.Signer, k.cert, &schemas.SignIn{ID: id(2), IssuedAt: issued, Scope: "settings.seat settings.media", Person: &h,
		Device: schemas.Car, Seat: 1, Expiry: 120, ResponseKey: sealingPublic("response-1")}
}

// toBeSigned is the Sig_structure of a message, what raw cryptography signs.
func toBeSigned(ring *keyring, name string, m schemas.Message) []byte {
	g := generator{keys: ring}
	payload := try(schemas.MarshalPayload(m))
	return arr(tstr("Signature1"), bstr(g.header(name).encode()), bstr([]byte(schemas.UpTopic(device1).String())), bstr(payload))
}

func rawSign(key crypto.Signer, message []byte) []byte {
	if _, ok := key.(ed25519.PrivateKey); ok {
		return try(key.Sign(rand.Reader, message, crypto.Hash(0)))
	}
	digest := sha256.Sum256(message)
	return try(key.Sign(rand.Reader, digest[:], crypto.SHA256))
}

func rawVerify(pub crypto.PublicKey, message, sig []byte) bool {
	if k, ok := pub.(ed25519.PublicKey); ok {
		return ed25519.Verify(k, message, sig)
	}
	digest := sha256.Sum256(message)
	return ecdsa.VerifyASN1(pub.(*ecdsa.PublicKey), digest[:], sig)
}

func BenchmarkSign(b *testing.B) {
	ring := newKeyring()
	for alg, name := range benchKeys {
		b.Run(alg, func(b *testing.B) {
			s, key, _, m := benchMessage(ring, name)
			tbs := toBeSigned(ring, name, m)
			top := schemas.UpTopic(device1)
			versus(b, func() { try(s.Sign(top, m)) }, func() { rawSign(key, tbs) })
			b.ReportMetric(float64(len(try(s.Sign(top, m)))), "bytes")
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	ring := newKeyring()
	for alg, name := range benchKeys {
		b.Run(alg, func(b *testing.B) {
			s, key, cert, m := benchMessage(ring, name)
			top := schemas.UpTopic(device1)
			data, tbs := try(s.Sign(top, m)), toBeSigned(ring, name, m)
			sig := rawSign(key, tbs)
			versus(b, func() { try(parseAndVerify(top, data, cert)) }, func() {
				if !rawVerify(key.Public(), tbs, sig) {
					panic("does not verify")
				}
			})
		})
	}
}

// BenchmarkParse is what a stranger can make a receiver do before any
// signature is checked, against the SHA-256 of the same bytes.
func BenchmarkParse(b *testing.B) {
	for _, name := range []string{"sign-in-paired", "hello"} {
		v := vectorNamed(b, name)
		top := topic(b, v.Topic)
		b.Run(name, func(b *testing.B) {
			versus(b, func() { try(schemas.Parse(top, v.Message)) }, func() { sha256.Sum256(v.Message) })
		})
	}
}

func benchGrant() schemas.Grant {
	return schemas.Grant{AccessToken: accessToken, ExpiresIn: 3600, Person: schemas.Handle{1}, Name: "Anna", Renewable: true}
}

func BenchmarkSeal(b *testing.B) {
	k := try(schemas.ParseSealKey(seed("response-1")))
	pub := try(hpke.NewDHKEMPublicKey(sealingKey("response-1").PublicKey()))
	g, plain := benchGrant(), make([]byte, 950)
	versus(b, func() { try(schemas.SealGrant(k.Public(), device1, id(2), g)) }, func() {
		_, s := try2(hpke.NewSender(pub, hpke.HKDFSHA256(), hpke.AES128GCM(), nil))
		try(s.Seal([]byte(strings.Repeat("a", 60)), plain))
	})
}

func BenchmarkOpen(b *testing.B) {
	k := try(schemas.ParseSealKey(seed("response-1")))
	priv := try(hpke.NewDHKEMPrivateKey(ecdh.KeyExchanger(sealingKey("response-1"))))
	sealed := try(schemas.SealGrant(k.Public(), device1, id(2), benchGrant()))
	enc, s := try2(hpke.NewSender(priv.PublicKey(), hpke.HKDFSHA256(), hpke.AES128GCM(), nil))
	ct := try(s.Seal(nil, make([]byte, 950)))
	versus(b, func() { try(schemas.OpenGrant(k, device1, id(2), sealed)) }, func() {
		r := try(hpke.NewRecipient(enc, priv, hpke.HKDFSHA256(), hpke.AES128GCM(), nil))
		try(r.Open(nil, ct))
	})
}

// BenchmarkBytes measures nothing but sizes: of a message, and of the same
// content as an ES256 JWS.
func BenchmarkBytes(b *testing.B) {
	for _, m := range sizes() {
		b.Run(strings.ReplaceAll(m.name, " ", "-"), func(b *testing.B) {
			for b.Loop() {
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(len(m.data)-m.minus), "bytes")
			b.ReportMetric(float64(len(m.json)-m.minus), "jws-bytes")
			b.ReportMetric(float64(len(m.json)-m.minus)/float64(len(m.data)-m.minus), "x-jws")
		})
	}
}
