package schemas_test

import (
	"github.com/carillon-iot/carillon/schemas"
)

// The classes are written out as in the files: they are part of the format.

// An envelope is a COSE_Sign1 under construction.
type envelope struct {
	signer, topic string
	protected     item
	unprotected   item
	payload       item
}

func (g *generator) header(signer string) entries {
	return entries{}.with(1, g.alg(signer)).with(4, bstr(g.keys.kid(signer)))
}

func (g *generator) alg(signer string) item {
	if g.keys.signing[signer].curve == "Ed25519" {
		return num(-8)
	}
	return num(-7)
}

// chained is header with the x5chain of its signer.
func (g *generator) chained(signer string) entries {
	var ders []item
	for _, c := range g.keys.chain(signer) {
		ders = append(ders, bstr(c.Raw))
	}
	return g.header(signer).with(33, arr(ders...))
}

func (g *generator) sign(e envelope) item {
	sig := g.keys.signRaw(e.signer, e.topic, e.protected, e.payload)
	return arr(bstr(e.protected), e.unprotected, bstr(e.payload), bstr(sig))
}

// upEnvelope is a correct one by device 1.
func (g *generator) upEnvelope(payload entries) envelope {
	return envelope{"device-1", schemas.UpTopic(device1).String(), g.header("device-1").encode(), amap(), payload.encode()}
}

// The payloads that are then broken.

func id8(n byte) item { x := id(n); return bstr(x[:]) }

func cancelPayload() entries { return entries{}.with(-1, num(3)).with(7, id8(2)) }

func helloPayload() entries {
	return entries{}.with(-1, num(1)).with(7, id8(1)).with(6, num(issued)).with(-13, arr(num(1), num(1)))
}

func welcomePayload() entries {
	key := sealingPublic("bridge-sealing")
	return entries{}.with(-1, num(11)).with(7, id8(1)).with(6, num(issued)).with(-13, arr(num(1), num(1))).
		with(-14, bstr(welcomeName[:])).with(-15, bstr(key[:]))
}

func signInPayload() entries {
	key, h := sealingPublic("response-1"), handle(1)
	return entries{}.with(-1, num(2)).with(7, id8(2)).with(6, num(issued)).with(9, tstr("seat media")).
		with(-2, bstr(h[:])).with(-6, num(1)).with(-9, bstr(key[:]))
}

// badList collects refused messages of one kind.
type badList struct {
	out   []badVector
	topic string
	stage string
	cert  string
}

func (l *badList) add(name, class, comment string, message item) {
	l.out = append(l.out, badVector{Name: name, Comment: comment, Stage: l.stage, Class: class, Topic: l.topic,
		Certificate: l.cert, Message: message, Diagnostic: diagnose(message)})
}

func (g *generator) badEnvelopes() []badVector {
	l := &badList{topic: schemas.UpTopic(device1).String(), stage: "parse"}
	g.badFrames(l)
	g.badHeaders(l)
	g.badChains(l)
	l.stage, l.cert = "verify", "device-1"
	g.badSignatures(l)
	g.badKeys(l)
	return l.out
}

// badFrames breaks the array of four.
func (g *generator) badFrames(l *badList) {
	e := g.upEnvelope(cancelPayload())
	p, good := e.protected, g.sign(e)
	sig := good[len(good)-64:]
	prot, pay, s := bstr(p), bstr(e.payload), bstr(sig)

	l.add("empty", "malformed", "no bytes at all", item{})
	l.add("cut", "malformed", "the last byte is missing", good[:len(good)-1])
	l.add("cut-in-head", "malformed", "ends within the head of the signature", good[:len(good)-65])
	l.add("reserved-head", "malformed", "additional information 28", cat(item{0x9c}, good[1:]))
	l.add("break-alone", "malformed", "a break outside of an indefinite length", item{0xff})
	l.add("tagged", "tag", "tag 18: a COSE_Sign1 is untagged here", cat(item{0xd2}, good))
	l.add("self-described", "tag", "tag 55799", cat(item{0xd9, 0xd9, 0xf7}, good))
	l.add("trailing-zero", "trailing-bytes", "", cat(good, item{0}))
	l.add("trailing-message", "trailing-bytes", "two messages in one", cat(good, good))
	l.add("indefinite-array", "indefinite", "", indef(4, prot, amap(), pay, s))
	l.add("indefinite-unprotected", "indefinite", "", arr(prot, indef(5), pay, s))
	l.add("indefinite-payload", "indefinite", "a byte string in chunks", arr(prot, amap(), indef(2, pay), s))
	l.add("three-elements", "wrong-type", "no signature", arr(prot, amap(), pay))
	l.add("five-elements", "wrong-type", "", arr(prot, amap(), pay, s, s))
	l.add("map", "wrong-type", "", amap(num(1), prot, num(2), pay))
	l.add("null", "wrong-type", "", cborNull)
	l.add("protected-map", "wrong-type", "the protected header is not wrapped in a byte string", arr(p, amap(), pay, s))
	l.add("protected-text", "wrong-type", "", arr(tstr("header"), amap(), pay, s))
	l.add("unprotected-array", "wrong-type", "", arr(prot, arr(), pay, s))
	l.add("unprotected-null", "wrong-type", "", arr(prot, cborNull, pay, s))
	l.add("payload-detached", "wrong-type", "null for the payload", arr(prot, amap(), cborNull, s))
	l.add("payload-numbers", "wrong-type", "the payload as an array of numbers", arr(prot, amap(), arr(num(1), num(2)), s))
	l.add("alg-in-unprotected", "unknown-key", "alg in the unprotected header too, which is empty by definition", arr(prot, amap(num(1), num(-7)), pay, s))
	l.add("kid-in-unprotected", "unknown-key", "", arr(prot, amap(num(4), bstr(g.keys.kid("device-1"))), pay, s))
	l.add("long-array-head", "not-canonical", "98 04 for 84", cat(longHead(4, 4), good[1:]))
	l.add("long-payload-length", "not-canonical", "two bytes for the length where none are needed", arr(prot, amap(), cat(longHead(2, uint64(len(e.payload))), e.payload), s))
	l.add("too-deep", "too-deep", "five levels", arr(prot, arr(arr(arr(arr()))), pay, s))
	l.add("seventeen-elements", "too-deep", "", arr(prot, amap(), pay, s, s, s, s, s, s, s, s, s, s, s, s, s, s))
	l.add("signature-short", "limit", "63 bytes", arr(prot, amap(), pay, bstr(sig[:63])))
	l.add("signature-long", "limit", "65 bytes", arr(prot, amap(), pay, bstr(cat(sig, item{0}))))
	l.add("signature-empty", "limit", "", arr(prot, amap(), pay, bstr(nil)))
	l.add("signature-half", "limit", "r without s", arr(prot, amap(), pay, bstr(sig[:32])))

	l.add("too-large-up", "too-large", "8,193 bytes: hello-8192 with a number that takes one more", g.sign(envelope{"device-1-large", l.topic,
		g.chained("device-1-large").encode(), amap(), helloPayload().with(-14, bstr(welcomeName[:])).with(-13, arr(num(1), num(24))).encode()}))
	l.topic = schemas.DownTopic(device1).String()
	l.add("too-large-down", "too-large", "16,385 bytes: granted-16384 with one more", g.sign(envelope{"bridge-1", l.topic,
		g.header("bridge-1").encode(), amap(), entries{}.with(-1, num(13)).with(7, id8(2)).with(-3, bstr(junkGrant(16283))).encode()}))
	l.topic = schemas.UpTopic(device1).String()
}

// badHeaders breaks the protected header of a message without a chain.
func (g *generator) badHeaders(l *badList) {
	good := g.header("device-1")
	kid := bstr(g.keys.kid("device-1"))
	add := func(name, class, comment string, protected item) {
		e := g.upEnvelope(cancelPayload())
		e.protected = protected
		l.add("header-"+name, class, comment, g.sign(e))
	}
	add("empty-string", "malformed", "h'' is no map; a header is never empty", item{})
	add("array", "wrong-type", "", arr(num(1), num(-7)))
	add("trailing", "trailing-bytes", "a byte after the map", cat(good.encode(), item{0}))
	add("indefinite", "indefinite", "", indef(5, good.items()...))
	add("tag", "tag", "alg in a tag", good.with(1, cat(item{0xc1}, num(-7))).encode())
	add("order", "not-canonical", "kid before alg", amap(num(4), kid, num(1), num(-7)))
	add("long-key", "not-canonical", "18 01 for key 1", amap(item{0x18, 1}, num(-7), num(4), kid))
	add("long-alg", "not-canonical", "38 06 for -7", good.with(1, longHead(1, 6)).encode())
	add("duplicate-alg", "duplicate-key", "", amap(num(1), num(-7), num(1), num(-7), num(4), kid))
	add("duplicate-kid", "duplicate-key", "", amap(num(1), num(-7), num(4), kid, num(4), kid))
	add("alg-missing", "alg", "", good.without(1).encode())
	add("alg-es384", "alg", "-35", good.with(1, num(-35)).encode())
	add("alg-rs256", "alg", "-257", good.with(1, num(-257)).encode())
	add("alg-esp256", "alg", "-9, the fully specified name of ES256 with P-256 (RFC 9864): version 1 says -7", good.with(1, num(-9)).encode())
	add("alg-ed25519", "alg", "-19, likewise: version 1 says -8", good.with(1, num(-19)).encode())
	add("alg-hmac", "alg", "5", good.with(1, num(5)).encode())
	add("alg-zero", "alg", "0", good.with(1, num(0)).encode())
	add("alg-text", "wrong-type", "", good.with(1, tstr("ES256")).encode())
	add("alg-null", "wrong-type", "", good.with(1, cborNull).encode())
	add("alg-float", "wrong-type", "", good.with(1, item{0xf9, 0xc7, 0x00}).encode())
	add("crit", "crit", "crit, even for a known label", good.with(2, arr(num(1))).encode())
	add("crit-text", "crit", "crit for an unknown label", good.with(2, arr(tstr("x"))).encode())
	add("kid-missing", "header", "", good.without(4).encode())
	add("kid-short", "limit", "7 bytes", good.with(4, bstr(g.keys.kid("device-1")[:7])).encode())
	add("kid-long", "limit", "9 bytes", good.with(4, bstr(cat(g.keys.kid("device-1"), item{0}))).encode())
	add("kid-text", "wrong-type", "", good.with(4, tstr("12345678")).encode())
	add("content-type", "unknown-key", "label 3", good.with(3, num(60)).encode())
	add("x5t", "unknown-key", "label 34", good.with(34, arr(num(-16), bstr(seed("x")))).encode())
	add("typ", "unknown-key", "label 16", good.with(16, tstr("a/b")).encode())
	add("private-label", "unknown-key", "label -65537", good.with(-65537, num(1)).encode())
	add("text-label", "unknown-key", "", good.plus(tstr("alg"), num(-7)))
	add("chain-in-cancel", "header", "an x5chain where none may be", g.chained("device-1").encode())
}

// badChains breaks the header of messages that bear a chain, or should.
func (g *generator) badChains(l *badList) {
	leaf, ca := bstr(g.keys.signing["device-1"].cert.Raw), bstr(g.keys.signing["intermediate"].cert.Raw)
	good := g.chained("device-1")
	add := func(name, class, comment string, protected item) {
		e := g.upEnvelope(helloPayload())
		e.protected = protected
		l.add("chain-"+name, class, comment, g.sign(e))
	}
	add("missing", "header", "a hello without a chain", g.header("device-1").encode())
	add("array-of-one", "limit", "one certificate is a byte string, not an array", good.with(33, arr(leaf)).encode())
	add("array-of-none", "limit", "", good.with(33, arr()).encode())
	add("array-of-five", "limit", "", good.with(33, arr(leaf, ca, ca, ca, ca)).encode())
	add("text", "wrong-type", "", good.with(33, tstr("x")).encode())
	add("null", "wrong-type", "", good.with(33, cborNull).encode())
	add("array-of-text", "wrong-type", "", good.with(33, arr(leaf, tstr("x"))).encode())
	add("nested", "wrong-type", "an array in the array", good.with(33, arr(leaf, arr(ca))).encode())
	add("not-a-certificate", "malformed", "", good.with(33, bstr(item{1, 2, 3})).encode())
	add("empty", "malformed", "", good.with(33, bstr(nil)).encode())
	add("second-not-a-certificate", "malformed", "", good.with(33, arr(leaf, bstr(item{1, 2, 3}))).encode())
	add("certificate-trailing", "malformed", "a byte after the DER", good.with(33, bstr(cat(g.keys.signing["device-1"].cert.Raw, item{0}))).encode())
	add("certificate-large", "limit", "2,049 bytes", good.with(33, arr(leaf, bstr(make([]byte, 2049)))).encode())
	add("kid-of-another", "wrong-key", "the kid is device 2's", good.with(4, bstr(g.keys.kid("device-2"))).encode())
	add("kid-of-issuer", "wrong-key", "the chain is in the wrong order, or the kid of the wrong certificate", good.with(4, bstr(g.keys.kid("intermediate"))).encode())
	add("reversed", "wrong-key", "issuer first", good.with(33, arr(ca, leaf)).encode())

	l.topic = schemas.DownTopic(device1).String()
	down := func(name, class, comment string, protected, payload entries) {
		l.add("chain-"+name, class, comment, g.sign(envelope{"bridge-1", l.topic, protected.encode(), amap(), payload.encode()}))
	}
	down("missing-in-welcome", "header", "a welcome that names a sealing key, without a chain", g.header("bridge-1"), welcomePayload())
	down("in-short-welcome", "header", "a welcome without a sealing key, with a chain", g.chained("bridge-1"), welcomePayload().without(-15))
	l.topic = schemas.UpTopic(device1).String()
}
