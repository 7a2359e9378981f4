package schemas_test

import (
	"strings"

	"github.com/carillon-iot/carillon/schemas"
)

// badPayload collects payloads under a correct signature.
type badPayload struct {
	g      *generator
	out    []badVector
	prefix string
	way    schemas.Way
	chain  bool
}

func (l *badPayload) add(name, class, comment string, payload item) {
	signer := "device-1"
	if l.way == schemas.Down {
		signer = "bridge-1"
	}
	header := l.g.header(signer)
	if l.chain {
		header = l.g.chained(signer)
	}
	topic := schemas.Topic{Device: device1, Way: l.way}.String()
	message := l.g.sign(envelope{signer, topic, header.encode(), amap(), payload})
	l.out = append(l.out, badVector{Name: l.prefix + name, Comment: comment, Stage: "payload", Class: class, Topic: topic,
		Payload: payload, Message: message, Diagnostic: diagnose(payload)})
}

// field is one broken value of one key.
func (l *badPayload) field(base entries, key int64, name, class, comment string, val item) {
	l.add(name, class, comment, base.with(key, val).encode())
}

func (g *generator) badPayloads() []badVector {
	l := &badPayload{g: g, way: schemas.Up}
	l.structure()
	l.encoding()
	l.keys()
	l.hello()
	l.signIn()
	l.signInTypes()
	l.confirm()
	l.otherUps()
	l.way = schemas.Down
	l.welcome()
	l.answers()
	l.prove()
	return l.out
}

func (l *badPayload) structure() {
	l.prefix = "cancel-"
	base := cancelPayload()
	good := base.encode()
	l.add("empty", "malformed", "no payload", item{})
	l.add("cut", "malformed", "", good[:len(good)-1])
	l.add("reserved-head", "malformed", "additional information 29", base.with(-1, item{0x1d}).encode())
	l.add("break", "malformed", "a break outside of an indefinite length", base.with(-1, item{0xff}).encode())
	l.add("simple-two-bytes", "malformed", "simple value 1 in two bytes", base.with(-1, item{0xf8, 1}).encode())
	l.add("trailing", "trailing-bytes", "", cat(good, item{0}))
	l.add("array", "wrong-type", "", arr(num(3), id8(2)))
	l.add("number", "wrong-type", "", num(3))
	l.add("bytes", "wrong-type", "the map wrapped once more", bstr(good))
	l.add("null", "wrong-type", "", cborNull)
	l.add("tag", "tag", "tag 24", cat(item{0xd8, 24}, good))
	l.add("type-missing", "missing", "", base.without(-1).encode())
	l.add("map-empty", "missing", "", amap())
	l.field(base, -1, "type-zero", "missing", "", num(0))
	l.field(base, -1, "type-unknown", "limit", "8", num(8))
	l.field(base, -1, "type-large", "limit", "300", num(300))
	l.field(base, -1, "type-negative", "wrong-type", "", num(-3))
	l.field(base, -1, "type-text", "wrong-type", "", tstr("cancel"))
	l.field(base, -1, "type-null", "wrong-type", "", cborNull)
	l.field(base, -1, "type-float", "wrong-type", "3.0", item{0xf9, 0x42, 0x00})
	l.field(base, -1, "type-simple", "wrong-type", "simple value 3", item{0xe3})
	l.field(base, -1, "type-long", "not-canonical", "18 03", longHead(0, 3))
	l.add("order", "not-canonical", "type first: 20 sorts behind 07", amap(num(-1), num(3), num(7), id8(2)))
	l.field(base, -1, "is-pending", "wrong-way", "a down message on an up topic", num(12))
	l.field(base, -1, "is-revoked", "wrong-way", "the same", num(16))
	l.way = schemas.Down
	l.add("down", "wrong-way", "an up message on a down topic", good)
	l.add("sign-in-down", "wrong-way", "a sign-in on a down topic", signInPayload().encode())
	l.way = schemas.Up
	l.add("id-missing", "missing", "", base.without(7).encode())
	l.field(base, 7, "id-zero", "missing", "eight zero bytes", bstr(make([]byte, 8)))
	l.field(base, 7, "id-short", "limit", "7 bytes", bstr(seed("x")[:7]))
	l.field(base, 7, "id-long", "limit", "9 bytes", bstr(seed("x")[:9]))
	l.field(base, 7, "id-empty", "limit", "", bstr(nil))
	l.field(base, 7, "id-text", "wrong-type", "", tstr("12345678"))
	l.field(base, 7, "id-numbers", "wrong-type", "an array of eight numbers", arr(num(1), num(2), num(3), num(4), num(5), num(6), num(7), num(8)))
	l.field(base, 7, "id-undefined", "wrong-type", "", cborUndef)
}

// encoding breaks the deterministic encoding of a sign-in, which has most
// kinds of value.
func (l *badPayload) encoding() {
	l.prefix = "encoding-"
	base := signInPayload()
	l.add("map-indefinite", "indefinite", "", indef(5, base.items()...))
	l.field(base, 9, "text-indefinite", "indefinite", "", indef(3, tstr("seat "), tstr("media")))
	l.field(base, 7, "bytes-indefinite", "indefinite", "", indef(2, id8(2)))
	l.add("map-long-head", "not-canonical", "b8 07", cat(longHead(5, 7), base.encode()[1:]))
	l.add("key-long", "not-canonical", "18 07 for key 7", func() item {
		items := base.items()
		for i := 0; i < len(items); i += 2 {
			if items[i][0] == 7 {
				items[i] = longHead(0, 7)
			}
		}
		return amap(items...)
	}())
	l.field(base, 6, "time-long", "not-canonical", "eight bytes", cat(item{0x1b, 0, 0, 0, 0}, num(issued)[1:]))
	l.field(base, 9, "text-long", "not-canonical", "78 0a", cat(longHead(3, 10), []byte("seat media")))
	l.field(base, 7, "bytes-long", "not-canonical", "58 08", cat(longHead(2, 8), id8(2)[1:]))
	l.add("order-last-first", "not-canonical", "", func() item {
		items := base.items()
		n := len(items)
		return amap(append([]item{items[n-2], items[n-1]}, items[:n-2]...)...)
	}())
	l.field(base, 6, "time-tag", "tag", "tag 1", cat(item{0xc1}, num(issued)))
	l.field(base, 6, "time-bignum", "tag", "tag 2", cat(item{0xc2}, bstr(num(issued)[1:])))
	l.field(base, -2, "too-deep", "too-deep", "five levels", arr(arr(arr(arr(num(1))))))
	l.add("too-many-keys", "too-deep", "seventeen", func() item {
		var more []item
		for i := range 10 {
			more = append(more, num(int64(-100-i)), num(1))
		}
		return base.plus(more...)
	}())
	l.field(base, 9, "text-not-utf8", "malformed", "c3 28", tstr("seat \xc3\x28"))
	l.field(base, 9, "text-surrogate", "malformed", "ed a0 80", tstr("seat \xed\xa0\x80"))
	l.field(base, 9, "text-overlong", "malformed", "c0 af", tstr("seat \xc0\xaf"))
}

func (l *badPayload) keys() {
	l.prefix = "key-"
	base := signInPayload()
	l.add("id-twice", "duplicate-key", "", amap(append([]item{num(6), num(issued), num(7), id8(2)}, base.without(6).items()...)...))
	l.add("type-twice", "duplicate-key", "", base.plus(num(-1), num(2)))
	l.add("twice-differently", "duplicate-key", "07 and 18 07 are the same key", base.plus(longHead(0, 7), id8(2)))
	l.field(base, 3, "aud", "unknown-key", "CWT aud", tstr("x"))
	l.field(base, 5, "audience", "unknown-key", "OAuth audience", tstr("x"))
	l.field(base, 24, "client-id", "unknown-key", "", tstr("x"))
	l.field(base, -33, "first-free", "unknown-key", "the next own key", num(1))
	l.field(base, -70000, "private", "unknown-key", "", num(1))
	l.field(base, -13, "of-hello", "unknown-key", "a key of another message", arr(num(1), num(1)))
	l.field(base, -27, "of-private", "unknown-key", "a login hint in the clear", tstr("anna@example.com"))
	l.add("text", "unknown-key", "", base.plus(tstr("iss"), tstr("x")))
	l.add("text-number", "unknown-key", "\"9\" is not 9", base.plus(tstr("9"), tstr("x")))
	l.add("bytes", "unknown-key", "", base.plus(bstr(item{9}), tstr("x")))
	l.add("bool", "unknown-key", "", base.plus(cborTrue, tstr("x")))
	l.add("array", "unknown-key", "", base.plus(arr(), tstr("x")))
	l.add("huge", "unknown-key", "2^64-1", base.plus(head(0, 1<<64-1), num(1)))
	l.add("huge-negative", "unknown-key", "-2^64", base.plus(head(1, 1<<64-1), num(1)))
}

func (l *badPayload) hello() {
	l.prefix, l.chain = "hello-", true
	base := helloPayload()
	zero := bstr(make([]byte, 8))
	l.add("time-missing", "missing", "", base.without(6).encode())
	l.field(base, 6, "time-zero", "missing", "", num(0))
	l.field(base, 6, "time-large", "limit", "2^40", head(0, 1<<40))
	l.field(base, 6, "time-negative", "wrong-type", "", num(-1))
	l.field(base, 6, "time-float", "wrong-type", "1790000000.0", item{0xfb, 0x41, 0xda, 0xac, 0x48, 0xe0, 0, 0, 0})
	l.field(base, 6, "time-text", "wrong-type", "", tstr("2026-09-21T14:13:20Z"))
	l.add("versions-missing", "missing", "", base.without(-13).encode())
	l.field(base, -13, "versions-from-zero", "limit", "[0, 1]", arr(num(0), num(1)))
	l.field(base, -13, "versions-reversed", "limit", "[2, 1]", arr(num(2), num(1)))
	l.field(base, -13, "versions-large", "limit", "[1, 256]", arr(num(1), num(256)))
	l.field(base, -13, "versions-one", "wrong-type", "one element", arr(num(1)))
	l.field(base, -13, "versions-three", "wrong-type", "three elements", arr(num(1), num(1), num(1)))
	l.field(base, -13, "versions-number", "wrong-type", "", num(1))
	l.field(base, -13, "versions-map", "wrong-type", "", amap(num(1), num(1)))
	l.field(base, -13, "versions-indefinite", "indefinite", "", indef(4, num(1), num(1)))
	l.field(base, -13, "versions-long", "not-canonical", "98 02", cat(longHead(4, 2), num(1), num(1)))
	l.field(base, -14, "seen-zero", "not-canonical", "said by absence", zero)
	l.field(base, -14, "seen-short", "limit", "7 bytes", bstr(welcomeName[:7]))
	l.field(base, -25, "wanted-zero", "not-canonical", "said by absence", zero)
	l.field(base, -25, "wanted-text", "wrong-type", "", tstr("12345678"))
	l.field(base, -15, "sealing-key", "unknown-key", "a key of welcome", bstr(seed("x")))
	l.chain = false
}

func (l *badPayload) signIn() {
	l.prefix = "sign-in-"
	base := signInPayload()
	zero8 := bstr(make([]byte, 8))
	l.add("time-missing", "missing", "", base.without(6).encode())
	l.add("scope-missing", "missing", "", base.without(9).encode())
	l.add("who-missing", "missing", "neither person nor sealed", base.without(-2).encode())
	l.add("device-missing", "missing", "", base.without(-6).encode())
	l.add("response-key-missing", "missing", "", base.without(-9).encode())
	l.field(base, 9, "scope-empty", "missing", "", tstr(""))
	l.field(base, -6, "device-zero", "missing", "", num(0))
	l.field(base, -9, "response-key-zero", "missing", "", bstr(make([]byte, 32)))
	l.field(base, -2, "person-zero", "not-canonical", "said by absence", zero8)
	l.field(base, -3, "sealed-empty", "not-canonical", "said by absence", bstr(nil))
	l.field(base, -4, "expiry-zero", "not-canonical", "said by absence", num(0))
	l.field(base, -5, "acr-empty", "not-canonical", "said by absence", tstr(""))
	l.field(base, -7, "seat-zero", "not-canonical", "said by absence", num(0))
	l.field(base, -8, "moving-false", "not-canonical", "said by absence", cborFalse)
	l.field(base, 9, "scope-long", "limit", "257 bytes", tstr(strings.Repeat("s", 257)))
	l.field(base, 9, "scope-two-spaces", "limit", "", tstr("seat  media"))
	l.field(base, 9, "scope-space-first", "limit", "", tstr(" seat"))
	l.field(base, 9, "scope-space-last", "limit", "", tstr("seat "))
	l.field(base, 9, "scope-tab", "limit", "", tstr("seat\tmedia"))
	l.field(base, 9, "scope-quote", "limit", "", tstr(`seat "media"`))
	l.field(base, 9, "scope-umlaut", "limit", "", tstr("stühle"))
	l.field(base, -2, "person-long", "limit", "9 bytes", bstr(seed("x")[:9]))
	l.field(base, -3, "sealed-long", "limit", "4,097 bytes", bstr(make([]byte, 4097)))
	l.field(base, -4, "expiry-large", "limit", "65,536", num(65536))
	l.field(base, -5, "acr-long", "limit", "65 bytes", tstr(strings.Repeat("a", 65)))
	l.field(base, -5, "acr-control", "limit", "a line feed", tstr("a\nb"))
	l.field(base, -6, "device-unknown", "limit", "7", num(7))
	l.field(base, -6, "device-large", "limit", "256", num(256))
	l.field(base, -7, "seat-large", "limit", "13", num(13))
	l.field(base, -9, "response-key-short", "limit", "31 bytes", bstr(seed("x")[:31]))
	l.field(base, -9, "response-key-long", "limit", "33 bytes", bstr(cat(seed("x"), item{0})))
}

func (l *badPayload) signInTypes() {
	base := signInPayload()
	l.field(base, 9, "scope-bytes", "wrong-type", "", bstr([]byte("seat")))
	l.field(base, 9, "scope-array", "wrong-type", "", arr(tstr("seat"), tstr("media")))
	l.field(base, -2, "person-text", "wrong-type", "", tstr("12345678"))
	l.field(base, -2, "person-null", "wrong-type", "absence is said by leaving the key out", cborNull)
	l.field(base, -3, "sealed-array", "wrong-type", "the COSE_Encrypt0 without its byte string", arr(bstr(nil), amap(), bstr(nil)))
	l.field(base, -4, "expiry-negative", "wrong-type", "", num(-1))
	l.field(base, -4, "expiry-float", "wrong-type", "1.0", cborHalf)
	l.field(base, -4, "expiry-bool", "wrong-type", "", cborTrue)
	l.field(base, -4, "expiry-simple", "wrong-type", "simple value 16", item{0xf0})
	l.field(base, -5, "acr-bytes", "wrong-type", "", bstr([]byte("a")))
	l.field(base, -5, "acr-undefined", "wrong-type", "", cborUndef)
	l.field(base, -6, "device-text", "wrong-type", "", tstr("car"))
	l.field(base, -7, "seat-array", "wrong-type", "", arr(num(1), num(1)))
	l.field(base, -8, "moving-number", "wrong-type", "", num(1))
	l.field(base, -9, "response-key-cose-key", "wrong-type", "a COSE_Key, not the bare 32 bytes", amap(num(1), num(1), num(-1), num(4), num(-2), bstr(seed("x"))))
}

func (l *badPayload) confirm() {
	l.prefix = "confirm-"
	base := signInPayload()
	p256 := l.g.keys.signing["device-1"].key
	point := try(schemas.NewConfirmKey(p256.Public())).Key
	x, y := bstr(point.X), bstr(point.Y)
	ec := entries{}.with(1, num(2)).with(-1, num(1)).with(-2, x).with(-3, y)
	okp := entries{}.with(1, num(1)).with(-1, num(6)).with(-2, x)
	add := func(name, class, comment string, key item) {
		l.field(base, 4, name, class, comment, amap(num(1), key))
	}
	l.field(base, 4, "empty", "missing", "", amap())
	l.field(base, 4, "bytes", "wrong-type", "", x)
	l.field(base, 4, "cnf-unknown-key", "unknown-key", "cnf method 3 (kid)", amap(num(1), ec.encode(), num(3), bstr(seed("x"))))
	l.field(base, 4, "cnf-duplicate", "duplicate-key", "", amap(num(1), ec.encode(), num(1), ec.encode()))
	add("key-array", "wrong-type", "", arr())
	add("key-empty", "missing", "", amap())
	add("kty-missing", "missing", "", ec.without(1).encode())
	add("crv-missing", "missing", "", ec.without(-1).encode())
	add("x-missing", "missing", "", okp.without(-2).encode())
	add("y-missing", "missing", "", ec.without(-3).encode())
	add("kty-text", "wrong-type", "", ec.with(1, tstr("EC2")).encode())
	add("y-sign", "wrong-type", "a compressed point", ec.with(-3, cborTrue).encode())
	add("kty-symmetric", "limit", "4", ec.with(1, num(4)).encode())
	add("crv-p384", "limit", "2", ec.with(-1, num(2)).encode())
	add("crv-of-other-kty", "limit", "EC2 with Ed25519", ec.with(-1, num(6)).encode())
	add("crv-x25519", "limit", "a key that cannot sign", okp.with(-1, num(4)).encode())
	add("okp-with-y", "limit", "", okp.with(-3, y).encode())
	add("x-short", "limit", "31 bytes", ec.with(-2, bstr(point.X[:31])).encode())
	add("x-long", "limit", "a leading zero", ec.with(-2, bstr(cat(item{0}, point.X))).encode())
	add("off-curve", "limit", "x and y are those of no point", ec.with(-3, x).encode())
	add("unknown-kid", "unknown-key", "COSE_Key kid", ec.with(2, bstr(seed("x")[:8])).encode())
	add("unknown-alg", "unknown-key", "COSE_Key alg", ec.with(3, num(-7)).encode())
	add("private", "unknown-key", "d, the private key", okp.with(-4, bstr(seed("x"))).encode())
	add("duplicate-x", "duplicate-key", "", okp.plus(num(-2), x))
	add("order", "not-canonical", "-1 before 1", amap(num(-1), num(6), num(1), num(1), num(-2), x))
	add("indefinite", "indefinite", "", indef(5, okp.items()...))
}

func (l *badPayload) otherUps() {
	key, h := sealingPublic("response-2"), handle(1)
	renew := entries{}.with(-1, num(5)).with(7, id8(3)).with(6, num(issued)).with(-9, bstr(key[:])).with(-17, id8(2))
	l.prefix = "renew-"
	l.add("session-missing", "missing", "", renew.without(-17).encode())
	l.add("response-key-missing", "missing", "", renew.without(-9).encode())
	l.add("time-missing", "missing", "", renew.without(6).encode())
	l.field(renew, -17, "session-zero", "missing", "", bstr(make([]byte, 8)))
	l.field(renew, -17, "session-long", "limit", "16 bytes", bstr(seed("x")[:16]))
	l.field(renew, -2, "person", "unknown-key", "a key of sign-in", bstr(h[:]))

	out := entries{}.with(-1, num(6)).with(7, id8(4)).with(6, num(issued))
	l.prefix = "sign-out-"
	l.add("what-missing", "missing", "none of person, sessions, all", out.encode())
	l.add("person-and-all", "conflict", "", out.with(-2, bstr(h[:])).with(-19, cborTrue).encode())
	l.add("person-and-sessions", "conflict", "", out.with(-2, bstr(h[:])).with(-18, arr(id8(2))).encode())
	l.add("sessions-and-all", "conflict", "", out.with(-18, arr(id8(2))).with(-19, cborTrue).encode())
	l.add("sessions-empty", "not-canonical", "said by absence", out.with(-18, arr()).with(-19, cborTrue).encode())
	l.add("all-false", "not-canonical", "said by absence", out.with(-2, bstr(h[:])).with(-19, cborFalse).encode())
	l.field(out, -18, "sessions-zero", "limit", "an id of zeros among them", arr(id8(2), bstr(make([]byte, 8))))
	l.field(out, -18, "sessions-bytes", "wrong-type", "one id without an array", id8(2))
	l.field(out, -18, "sessions-text", "wrong-type", "", arr(tstr("12345678")))
	l.field(out, -18, "sessions-short", "limit", "an id of 4 bytes", arr(bstr(seed("x")[:4])))
	l.field(out, -18, "sessions-indefinite", "indefinite", "", indef(4, id8(2)))
	l.field(out, -18, "sessions-many", "too-deep", "seventeen", func() item {
		var ids []item
		for i := range 17 {
			ids = append(ids, id8(byte(i+1)))
		}
		return arr(ids...)
	}())
	l.field(out, -19, "all-number", "wrong-type", "", num(1))

	proof := entries{}.with(-1, num(7)).with(7, id8(2)).with(-24, bstr(make([]byte, 64)))
	l.prefix = "proof-"
	l.add("signatures-missing", "missing", "", proof.without(-24).encode())
	l.field(proof, -24, "signatures-empty", "missing", "", bstr(nil))
	l.field(proof, -24, "signatures-odd", "limit", "65 bytes", bstr(make([]byte, 65)))
	l.field(proof, -24, "signatures-many", "limit", "sixty-one", bstr(make([]byte, 61*64)))
	l.field(proof, -24, "signatures-array", "wrong-type", "", arr(bstr(make([]byte, 64))))
	l.field(proof, -22, "first-zero", "not-canonical", "said by absence", num(0))
	l.field(proof, -22, "first-large", "limit", "65,536", num(65536))
	l.field(proof, 6, "time", "unknown-key", "a proof has no iat of its own", num(issued))

	l.prefix = "receipt-"
	l.field(cancelPayload().with(-1, num(4)), 6, "time", "unknown-key", "a receipt has no iat", num(issued))
}

func (l *badPayload) welcome() {
	l.prefix, l.chain = "welcome-", true
	base := welcomePayload()
	leaf := bstr(l.g.keys.signing["bridge-2"].cert.Raw)
	l.add("time-missing", "missing", "", base.without(6).encode())
	l.add("name-missing", "missing", "", base.without(-14).encode())
	l.add("versions-missing", "missing", "", base.without(-13).encode())
	l.field(base, -14, "name-zero", "missing", "", bstr(make([]byte, 8)))
	l.field(base, -15, "sealing-key-zero", "not-canonical", "said by absence", bstr(make([]byte, 32)))
	l.field(base, -15, "sealing-key-short", "limit", "16 bytes", bstr(seed("x")[:16]))
	l.field(base, -15, "sealing-key-text", "wrong-type", "", tstr(strings.Repeat("k", 32)))
	l.field(base, -16, "peers-empty", "not-canonical", "said by absence", arr())
	l.field(base, -16, "peers-nine", "limit", "", arr(leaf, leaf, leaf, leaf, leaf, leaf, leaf, leaf, leaf))
	l.field(base, -16, "peers-bytes", "wrong-type", "", leaf)
	l.field(base, -16, "peers-text", "wrong-type", "", arr(tstr("bridge-2")))
	l.field(base, -16, "peer-empty", "limit", "", arr(bstr(nil)))
	l.field(base, -16, "peer-large", "limit", "2,049 bytes", arr(bstr(make([]byte, 2049))))
	l.field(base, -25, "wanted", "unknown-key", "a key of hello", bstr(seed("x")[:8]))
	l.chain = false
	l.add("peers-alone", "missing", "peers without a sealing key, and so without a chain", base.without(-15).with(-16, arr(leaf)).encode())
}

func (l *badPayload) answers() {
	pending := entries{}.with(-1, num(12)).with(7, id8(2)).with(2, num(120))
	l.prefix = "pending-"
	l.add("expires-missing", "missing", "", pending.without(2).encode())
	l.field(pending, 2, "expires-zero", "missing", "", num(0))
	l.field(pending, 2, "expires-large", "limit", "2^32", head(0, 1<<32))
	l.field(pending, 2, "expires-float", "wrong-type", "120.0", item{0xf9, 0x57, 0x80})
	l.field(pending, -10, "binding-empty", "not-canonical", "said by absence", tstr(""))
	l.field(pending, -10, "binding-long", "limit", "65 bytes, 22 characters", tstr(strings.Repeat("€", 21)+"ab"))
	l.field(pending, -10, "binding-newline", "limit", "U+000A", tstr("W4SV\n7RCK"))
	l.field(pending, -10, "binding-delete", "limit", "U+007F", tstr("W4SV\x7f"))
	l.field(pending, -10, "binding-c1", "limit", "U+0085", tstr("W4SV\u0085"))
	l.field(pending, -10, "binding-not-utf8", "malformed", "", tstr("W4SV\xff"))
	l.field(pending, -10, "binding-bytes", "wrong-type", "", bstr([]byte("W4SV")))

	granted := entries{}.with(-1, num(13)).with(7, id8(2)).with(-3, bstr(seed("sealed")))
	l.prefix = "granted-"
	l.add("sealed-missing", "missing", "", granted.without(-3).encode())
	l.field(granted, -3, "sealed-empty", "missing", "", bstr(nil))
	l.field(granted, -3, "sealed-text", "wrong-type", "", tstr("token"))
	l.field(granted, 1, "token-in-the-clear", "unknown-key", "", bstr(token))

	refused := entries{}.with(-1, num(14)).with(7, id8(2)).with(6, num(issued)).with(-11, num(11))
	l.prefix = "refused-"
	l.add("code-missing", "missing", "", refused.without(-11).encode())
	l.add("time-missing", "missing", "", refused.without(6).encode())
	l.field(refused, -11, "code-zero", "missing", "", num(0))
	l.field(refused, -11, "code-large", "limit", "256", num(256))
	l.field(refused, -11, "code-text", "wrong-type", "", tstr("access_denied"))
	l.field(refused, -12, "retry-zero", "not-canonical", "said by absence", num(0))
	l.field(refused, -12, "retry-large", "limit", "65,536", num(65536))
	l.field(refused, -12, "retry-null", "wrong-type", "", cborNull)
	l.field(refused, 31, "description", "unknown-key", "OAuth error_description", tstr("no"))

	revoked := entries{}.with(-1, num(16)).with(7, id8(4))
	l.prefix = "revoked-"
	l.add("what-missing", "missing", "", revoked.encode())
	l.add("both", "conflict", "", revoked.with(-18, arr(id8(2))).with(-19, cborTrue).encode())
	l.add("id-missing", "missing", "", revoked.without(7).with(-19, cborTrue).encode())
	l.field(revoked, -2, "person", "unknown-key", "a key of sign-out", bstr(seed("x")[:8]))
}

func (l *badPayload) prove() {
	base := entries{}.with(-1, num(15)).with(7, id8(2)).with(6, num(issued)).with(-23, num(1))
	l.prefix = "prove-"
	l.add("count-missing", "missing", "", base.without(-23).encode())
	l.add("time-missing", "missing", "", base.without(6).encode())
	l.field(base, -23, "count-zero", "missing", "", num(0))
	l.field(base, -23, "count-large", "limit", "61", num(61))
	l.field(base, -20, "endpoint-zero", "not-canonical", "said by absence", num(0))
	l.field(base, -20, "endpoint-large", "limit", "256", num(256))
	l.field(base, -20, "endpoint-url", "wrong-type", "a URL is never taken from the bridge", tstr("https://op.example.com/token"))
	l.field(base, -21, "interval-zero", "not-canonical", "said by absence", num(0))
	l.field(base, -21, "interval-large", "limit", "65,536", num(65536))
	l.field(base, -22, "first-zero", "not-canonical", "said by absence", num(0))
	l.add("numbers-overflow", "limit", "65,535 and one more", base.with(-22, num(65535)).with(-23, num(2)).encode())
	l.field(base, -26, "nonce-empty", "not-canonical", "said by absence", tstr(""))
	l.field(base, -26, "nonce-long", "limit", "257 bytes", tstr(strings.Repeat("n", 257)))
	l.field(base, -26, "nonce-quote", "limit", "it would end the JSON string", tstr(`n","ath":"`))
	l.field(base, -26, "nonce-backslash", "limit", "", tstr(`n\u0022`))
	l.field(base, -26, "nonce-space", "limit", "", tstr("n n"))
	l.field(base, -26, "nonce-bytes", "wrong-type", "", bstr([]byte("n")))
}
