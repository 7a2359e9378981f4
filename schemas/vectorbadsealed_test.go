package schemas_test

import (
	"strings"

	"github.com/carillon-iot/carillon/schemas"
)

// sealing is a COSE_Encrypt0 under construction and who then opens it.
type sealing struct {
	as, to, key string
	protected   item
	topic       string
	id          schemas.ID
	plaintext   item
}

func (s sealing) aad() item {
	return arr(tstr("Encrypt0"), bstr(s.protected), bstr(cat([]byte(s.topic), s.id[:])))
}

// parts seals and returns enc and ciphertext.
func (s sealing) parts(aad item) (enc, ct []byte) {
	return hpkeSeal(sealingKey(s.to).PublicKey(), sealingKey("ephemeral bad"), aad, s.plaintext)
}

func (s sealing) seal() item {
	enc, ct := s.parts(s.aad())
	return arr(bstr(s.protected), amap(num(-4), bstr(enc)), bstr(ct))
}

type badSealed struct {
	g   *generator
	out []badVector
}

func (l *badSealed) add(name, class, comment string, s sealing, sealed item) {
	topic := schemas.UpTopic(device1)
	if s.as == "grant" {
		topic = schemas.DownTopic(device1)
	}
	opened := id(2)
	l.out = append(l.out, badVector{Name: s.as + "-" + name, Comment: comment, Stage: "open", Class: class,
		Topic: topic.String(), As: s.as, Key: s.key, ID: opened[:], Sealed: sealed, Diagnostic: diagnose(sealed)})
}

// plain is one more broken plaintext, correctly sealed.
func (l *badSealed) plain(name, class, comment string, s sealing, plaintext item) {
	s.plaintext = plaintext
	l.add(name, class, comment, s, s.seal())
	last := &l.out[len(l.out)-1]
	last.Plaintext, last.Diagnostic = plaintext, diagnose(plaintext)
}

func goodPrivate() sealing {
	kid := sealingPublic("bridge-sealing").ID()
	return sealing{"private", "bridge-sealing", "bridge-sealing", amap(num(1), num(41), num(4), bstr(kid[:])),
		schemas.UpTopic(device1).String(), id(2), entries{}.with(-27, tstr("anna@example.com")).encode()}
}

func grantPlain() entries {
	h := handle(2)
	return entries{}.with(1, bstr(token)).with(2, num(3600)).with(-2, bstr(h[:]))
}

func goodGrant() sealing {
	return sealing{"grant", "response-1", "response-1", amap(num(1), num(41)),
		schemas.DownTopic(device1).String(), id(2), grantPlain().encode()}
}

func (g *generator) badSealed() []badVector {
	l := &badSealed{g: g}
	l.frames()
	l.headers()
	l.bindings()
	l.privates()
	l.grants()
	l.whos()
	return l.out
}

func (l *badSealed) frames() {
	s := goodGrant()
	good := s.seal()
	enc, ct := s.parts(s.aad())
	prot, ek := bstr(s.protected), amap(num(-4), bstr(enc))
	l.add("empty", "malformed", "", s, item{})
	l.add("cut", "malformed", "", s, good[:len(good)-1])
	l.add("trailing", "trailing-bytes", "", s, cat(good, item{0}))
	l.add("tagged", "tag", "tag 16", s, cat(item{0xd0}, good))
	l.add("indefinite", "indefinite", "", s, indef(4, prot, ek, bstr(ct)))
	l.add("encrypt", "wrong-type", "four elements, as a COSE_Encrypt", s, arr(prot, ek, bstr(ct), arr()))
	l.add("detached", "wrong-type", "null for the ciphertext", s, arr(prot, ek, cborNull))
	l.add("long-head", "not-canonical", "98 03", s, cat(longHead(4, 3), good[1:]))
	l.add("ek-missing", "missing", "", s, arr(prot, amap(), bstr(ct)))
	l.add("ek-zero", "missing", "", s, arr(prot, amap(num(-4), bstr(make([]byte, 32))), bstr(ct)))
	l.add("ek-short", "limit", "31 bytes", s, arr(prot, amap(num(-4), bstr(enc[:31])), bstr(ct)))
	l.add("ek-text", "wrong-type", "", s, arr(prot, amap(num(-4), tstr(strings.Repeat("e", 32))), bstr(ct)))
	l.add("ek-and-iv", "unknown-key", "an IV beside it", s, arr(prot, amap(num(5), bstr(ct[:12]), num(-4), bstr(enc)), bstr(ct)))
	low := make([]byte, 32)
	low[0] = 1
	l.add("ek-low-order", "sealed", "the shared secret would be zero", s, arr(prot, amap(num(-4), bstr(low)), bstr(ct)))
	l.add("ciphertext-empty", "sealed", "", s, arr(prot, ek, bstr(nil)))
	l.add("ciphertext-short", "sealed", "shorter than its tag", s, arr(prot, ek, bstr(ct[:15])))
	l.add("ciphertext-cut", "sealed", "the last byte is missing", s, arr(prot, ek, bstr(ct[:len(ct)-1])))
	bad := cat(ct)
	bad[0] ^= 1
	l.add("ciphertext-flipped", "sealed", "the first bit", s, arr(prot, ek, bstr(bad)))
	bad = cat(ct)
	bad[len(bad)-1] ^= 0x80
	l.add("tag-flipped", "sealed", "the last bit", s, arr(prot, ek, bstr(bad)))
	bad = cat(enc)
	bad[0] ^= 1
	l.add("ek-flipped", "sealed", "", s, arr(prot, amap(num(-4), bstr(bad)), bstr(ct)))
}

func (l *badSealed) headers() {
	header := func(s sealing, name, class, comment string, protected item) {
		s.protected = protected
		l.add(name, class, comment, s, s.seal())
	}
	p, g := goodPrivate(), goodGrant()
	kid, old := sealingPublic("bridge-sealing").ID(), sealingPublic("bridge-sealing-old").ID()
	header(g, "alg-missing", "alg", "", amap())
	header(g, "alg-hpke-0", "alg", "35: HPKE with P-256", amap(num(1), num(35)))
	header(g, "alg-hpke-4", "alg", "42: X25519 with ChaCha20-Poly1305", amap(num(1), num(42)))
	header(g, "alg-a128gcm", "alg", "1", amap(num(1), num(1)))
	header(g, "alg-text", "wrong-type", "", amap(num(1), tstr("HPKE-3")))
	header(g, "kid", "header", "a request has one key, and its grant names none", amap(num(1), num(41), num(4), bstr(kid[:])))
	header(g, "unknown-header", "unknown-key", "typ", amap(num(1), num(41), num(16), num(1)))
	header(g, "duplicate-alg", "duplicate-key", "", amap(num(1), num(41), num(1), num(41)))
	header(g, "long-alg", "not-canonical", "19 00 29", amap(num(1), longHead(0, 41)))
	header(g, "header-empty-string", "malformed", "h''", item{})
	header(p, "kid-missing", "header", "a bridge has several keys", amap(num(1), num(41)))
	header(p, "kid-short", "limit", "4 bytes", amap(num(1), num(41), num(4), bstr(kid[:4])))
	header(p, "kid-of-another-key", "wrong-key", "the kid of the old key", amap(num(1), num(41), num(4), bstr(old[:])))
}

// bindings are sealed well, but to another key, topic or request.
func (l *badSealed) bindings() {
	change := func(s sealing, name, comment string, f func(*sealing)) {
		f(&s)
		l.add(name, "sealed", comment, s, s.seal())
	}
	p, g := goodPrivate(), goodGrant()
	change(g, "of-another-request", "another id", func(s *sealing) { s.id = id(3) })
	change(p, "of-another-request", "another id", func(s *sealing) { s.id = id(3) })
	change(g, "of-another-device", "the topic of device 2", func(s *sealing) { s.topic = schemas.DownTopic(device2).String() })
	change(p, "of-another-device", "the topic of device 2", func(s *sealing) { s.topic = schemas.UpTopic(device2).String() })
	change(g, "of-the-other-way", "the up topic", func(s *sealing) { s.topic = schemas.UpTopic(device1).String() })
	change(p, "of-the-other-way", "the down topic", func(s *sealing) { s.topic = schemas.DownTopic(device1).String() })
	change(g, "to-another-key", "to the response key of another request", func(s *sealing) { s.to = "response-2" })
	change(p, "to-another-key", "to the old key, under the kid of the new", func(s *sealing) { s.to = "bridge-sealing-old" })
	s := g
	s.key = "response-2"
	l.add("opened-with-another-key", "sealed", "", s, s.seal())

	withAAD := func(name, comment string, aad item) {
		enc, ct := g.parts(aad)
		l.add(name, "sealed", comment, g, arr(bstr(g.protected), amap(num(-4), bstr(enc)), bstr(ct)))
	}
	withAAD("aad-empty", "no Enc_structure, as in early drafts of COSE-HPKE", nil)
	withAAD("aad-context", "context \"Enc_Recipient\"", arr(tstr("Enc_Recipient"), bstr(g.protected), bstr(cat([]byte(g.topic), g.id[:]))))
	withAAD("aad-without-id", "external_aad is the topic alone", arr(tstr("Encrypt0"), bstr(g.protected), bstr([]byte(g.topic))))
	withAAD("aad-header", "an empty protected header in the Enc_structure", arr(tstr("Encrypt0"), bstr(nil), bstr(cat([]byte(g.topic), g.id[:]))))
}

func (l *badSealed) privates() {
	s := goodPrivate()
	hint := entries{}.with(-27, tstr("anna@example.com"))
	plain := func(name, class, comment string, p item) { l.plain("plaintext-"+name, class, comment, s, p) }
	plain("empty", "malformed", "", item{})
	plain("trailing", "trailing-bytes", "", cat(hint.encode(), item{0}))
	plain("map-empty", "missing", "neither a hint nor a purpose", amap())
	plain("text", "wrong-type", "the hint without a map", tstr("anna@example.com"))
	plain("two-hints", "conflict", "", hint.with(-28, tstr("token")).encode())
	plain("three-hints", "conflict", "", hint.with(-28, tstr("token")).with(-29, tstr("token")).encode())
	plain("hint-empty", "not-canonical", "said by absence", hint.with(-27, tstr("")).with(-30, tstr("coffee")).encode())
	plain("hint-null", "wrong-type", "", hint.with(-27, cborNull).encode())
	plain("hint-bytes", "wrong-type", "", hint.with(-27, bstr([]byte("anna@example.com"))).encode())
	plain("hint-long", "limit", "257 bytes", hint.with(-27, tstr(strings.Repeat("a", 257))).encode())
	plain("hint-control", "limit", "", hint.with(-27, tstr("anna@example.com\x00")).encode())
	plain("hint-not-utf8", "malformed", "", hint.with(-27, tstr("anna\xe9@example.com")).encode())
	plain("hint-token-long", "limit", "3,073 bytes", entries{}.with(-28, tstr(strings.Repeat("a", 3073))).encode())
	plain("id-token-long", "limit", "3,073 bytes", entries{}.with(-29, tstr(strings.Repeat("a", 3073))).encode())
	plain("purpose-long", "limit", "129 bytes", hint.with(-30, tstr(strings.Repeat("a", 129))).encode())
	plain("unknown-key", "unknown-key", "-33", hint.with(-33, num(1)).encode())
	plain("person", "unknown-key", "a handle stands in the sign-in itself", hint.with(-2, bstr(seed("x")[:8])).encode())
	plain("duplicate", "duplicate-key", "", hint.plus(num(-27), tstr("bela@example.com")))
	plain("order", "not-canonical", "", amap(num(-30), tstr("coffee"), num(-27), tstr("anna@example.com")))
	plain("indefinite", "indefinite", "", indef(5, hint.items()...))
}

func (l *badSealed) grants() {
	s := goodGrant()
	base := grantPlain()
	field := func(key int64, name, class, comment string, val item) {
		l.plain("plaintext-"+name, class, comment, s, base.with(key, val).encode())
	}
	l.plain("plaintext-token-missing", "missing", "", s, base.without(1).encode())
	l.plain("plaintext-expires-missing", "missing", "", s, base.without(2).encode())
	l.plain("plaintext-person-missing", "missing", "", s, base.without(-2).encode())
	field(1, "token-empty", "missing", "", bstr(nil))
	field(1, "token-text", "wrong-type", "access_token is a byte string (RFC 9200)", tstr(string(token)))
	field(1, "token-long", "limit", "12,289 bytes", bstr(make([]byte, 12289)))
	field(2, "expires-zero", "missing", "", num(0))
	field(2, "expires-large", "limit", "2^32", head(0, 1<<32))
	field(-2, "person-zero", "missing", "", bstr(make([]byte, 8)))
	field(9, "scope-empty", "not-canonical", "said by absence", tstr(""))
	field(9, "scope-two-spaces", "limit", "", tstr("seat  media"))
	field(34, "bearer", "limit", "1: bearer is said by absence", num(1))
	field(34, "token-type-zero", "not-canonical", "said by absence", num(0))
	field(34, "token-type-unknown", "limit", "3", num(3))
	field(37, "refresh-token", "unknown-key", "a refresh token stays in the bridge", bstr(token))
	field(-31, "name-long", "limit", "65 bytes", tstr(strings.Repeat("a", 65)))
	field(-31, "name-control", "limit", "", tstr("Anna\x1b[1m"))
	field(-32, "renewable-false", "not-canonical", "said by absence", cborFalse)
	field(-32, "renewable-number", "wrong-type", "", num(1))
}

// whos are sign-ins that say twice, or not at all, who is to be rung; only
// who opens the sealed part can tell.
func (l *badSealed) whos() {
	add := func(name, class, comment string, withPerson bool, plaintext entries) {
		s := goodPrivate()
		s.plaintext = plaintext.encode()
		payload := signInPayload()
		if !withPerson {
			payload = payload.without(-2)
		}
		payload = payload.with(-3, bstr(s.seal()))
		message := l.g.sign(l.g.upEnvelope(payload))
		opened := id(2)
		l.out = append(l.out, badVector{Name: "sign-in-" + name, Comment: comment, Stage: "open", Class: class,
			Topic: s.topic, Certificate: "device-1", As: "sign-in", Key: s.key, ID: opened[:],
			Message: message, Plaintext: s.plaintext, Diagnostic: diagnose(plaintext.encode())})
	}
	hint := entries{}.with(-27, tstr("anna@example.com"))
	purpose := entries{}.with(-30, tstr("coffee"))
	add("person-and-hint", "conflict", "a handle and a login hint", true, hint)
	add("person-and-hint-and-purpose", "conflict", "a handle, a login hint, and what for", true, hint.with(-30, tstr("coffee")))
	add("purpose-alone", "missing", "what for, but not who", false, purpose)
}
