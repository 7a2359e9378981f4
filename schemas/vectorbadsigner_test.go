package schemas_test

import (
	"math/big"

	"github.com/carillon-iot/carillon/schemas"
)

// badSignatures are taken apart well and do not verify.
func (g *generator) badSignatures(l *badList) {
	e := g.upEnvelope(cancelPayload())
	prot, pay := bstr(e.protected), bstr(e.payload)
	good := g.keys.signRaw("device-1", e.topic, e.protected, e.payload)
	add := func(name, comment string, sig []byte) {
		l.add("signature-"+name, "signature", comment, arr(prot, amap(), pay, bstr(sig)))
	}
	flipped := cat(good)
	flipped[63] ^= 1
	add("flipped", "one bit", flipped)
	add("zero", "", make([]byte, 64))
	add("swapped", "s || r", cat(good[32:], good[:32]))
	add("of-another-key", "made with the key of the renewed certificate, under the kid of the old", g.keys.signRaw("device-1-renewed", e.topic, e.protected, e.payload))
	add("of-another-payload", "a receipt's", g.keys.signRaw("device-1", e.topic, e.protected, cancelPayload().with(-1, num(4)).encode()))
	add("of-another-device", "made for the topic of device 2", g.keys.signRaw("device-1", schemas.UpTopic(device2).String(), e.protected, e.payload))
	add("of-the-other-way", "made for the down topic", g.keys.signRaw("device-1", schemas.DownTopic(device1).String(), e.protected, e.payload))
	add("without-topic", "external_aad empty", g.keys.signRaw("device-1", "", e.protected, e.payload))
	add("of-another-header", "made under an empty protected header", g.keys.signRaw("device-1", e.topic, nil, e.payload))
	add("of-another-context", "context \"Signature\", that of COSE_Sign", rawSignature(g.keys.signing["device-1"].key,
		arr(tstr("Signature"), bstr(e.protected), bstr(nil), bstr([]byte(e.topic)), bstr(e.payload))))
	add("of-the-payload", "the payload alone", rawSignature(g.keys.signing["device-1"].key, e.payload))

	hello := g.upEnvelope(helloPayload())
	hello.protected = g.chained("device-1").encode()
	data := g.sign(hello)
	data[len(data)-1] ^= 1
	l.add("signature-hello", "signature", "a chain proves nothing without the signature", data)

	l.topic, l.cert = schemas.UpTopic(device2).String(), "device-2"
	ed := envelope{"device-2", l.topic, g.header("device-2").encode(), amap(), cancelPayload().encode()}
	data = g.sign(ed)
	copy(data[len(data)-32:], addOrder(data[len(data)-32:]))
	l.add("signature-eddsa-malleated", "signature", "S + L in place of S (RFC 8032 section 5.1.7)", data)
	l.topic, l.cert = schemas.DownTopic(device2).String(), "bridge-1"
	l.add("signature-granted-elsewhere", "signature", "an answer to device 1, replayed to device 2", g.sign(envelope{
		"bridge-1", schemas.DownTopic(device1).String(), g.header("bridge-1").encode(), amap(),
		entries{}.with(-1, num(13)).with(7, id8(2)).with(-3, bstr(seed("sealed"))).encode()}))
	l.topic, l.cert = schemas.UpTopic(device1).String(), "device-1"
}

// addOrder returns S + L of an Ed25519 signature, little endian.
func addOrder(s []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	sum := new(big.Int).Add(new(big.Int).SetBytes(reverse(s)), order)
	return reverse(sum.FillBytes(make([]byte, 32)))
}

func reverse(b []byte) []byte {
	out := make([]byte, len(b))
	for i, x := range b {
		out[len(b)-1-i] = x
	}
	return out
}

// badKeys name an algorithm or a kid that the certificate's key is not of.
func (g *generator) badKeys(l *badList) {
	add := func(name, class, comment, signer, cert string, protected entries) {
		e := g.upEnvelope(cancelPayload())
		e.signer, e.protected = signer, protected.encode()
		l.cert = cert
		l.add(name, class, comment, g.sign(e))
	}
	add("alg-eddsa-p256", "alg", "EdDSA, but the certificate's key is P-256", "device-1", "device-1", g.header("device-1").with(1, num(-8)))
	add("alg-es256-ed25519", "alg", "ES256, but the certificate's key is Ed25519", "device-2", "device-2", g.header("device-2").with(1, num(-7)))
	add("kid-of-another-device", "wrong-key", "device 2 speaks on the topic of device 1", "device-2", "device-1", g.header("device-2"))
	add("kid-before-renewal", "wrong-key", "signed with the old key; the receiver tries the renewed certificate", "device-1", "device-1-renewed", g.header("device-1"))

	p384 := g.header("device-1-p384")
	e := g.upEnvelope(cancelPayload())
	l.cert = "device-1-p384"
	l.add("alg-es256-p384", "alg", "ES256, but the certificate's key is P-384 (the signature is of no account)",
		arr(bstr(p384.encode()), amap(), bstr(e.payload), bstr(make([]byte, 64))))
	e = g.upEnvelope(helloPayload())
	l.add("alg-es256-p384-hello", "alg", "the same in a hello: a chain is not looked into before its key is needed",
		arr(bstr(g.chained("device-1-p384").encode()), amap(), bstr(e.payload), bstr(make([]byte, 64))))
	l.cert = "device-1"
}

func (g *generator) badTimes() []badVector {
	l := &badList{topic: schemas.UpTopic(device1).String(), stage: "fresh", cert: "device-1"}
	add := func(name, comment string, now uint64, payload entries) {
		l.add(name, "stale", comment, g.sign(g.upEnvelope(payload)))
		l.out[len(l.out)-1].Now = now
	}
	h, key := handle(1), sealingPublic("response-2")
	renew := entries{}.with(-1, num(5)).with(7, id8(3)).with(6, num(issued)).with(-9, bstr(key[:])).with(-17, id8(2))
	signOut := entries{}.with(-1, num(6)).with(7, id8(4)).with(6, num(issued)).with(-2, bstr(h[:]))
	add("sign-in-old", "301 seconds", issued+301, signInPayload())
	add("sign-in-future", "61 seconds", issued-61, signInPayload())
	add("sign-in-1970", "a clock that was never set", issued, signInPayload().with(6, num(42)))
	add("sign-in-far-future", "the highest time there is", issued, signInPayload().with(6, num(1<<40-1)))
	add("renew-old", "301 seconds", issued+301, renew)
	add("sign-out-future", "61 seconds", issued-61, signOut)
	return l.out
}
