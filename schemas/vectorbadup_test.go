package schemas_test

import (
	"strings"

	"github.com/carillon-iot/carillon/schemas"
)

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
	l.field(base.with(-3, bstr(goodPrivate().seal())), -2, "person-zero", "not-canonical", "said by absence, beside a sealed part", zero8)
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
	add("x-empty", "limit", "a byte string of fixed length that is empty", ec.with(-2, bstr(nil)).encode())
	add("y-empty", "limit", "the same", ec.with(-3, bstr(nil)).encode())
	add("kty-text", "wrong-type", "", ec.with(1, tstr("EC2")).encode())
	add("y-sign", "wrong-type", "a compressed point", ec.with(-3, cborTrue).encode())
	add("kty-symmetric", "limit", "4", ec.with(1, num(4)).encode())
	add("crv-p384", "limit", "2", ec.with(-1, num(2)).encode())
	add("crv-of-other-kty", "limit", "EC2 with Ed25519", ec.with(-1, num(6)).encode())
	add("crv-x25519", "limit", "a key that cannot sign", okp.with(-1, num(4)).encode())
	add("okp-with-y", "limit", "", okp.with(-3, y).encode())
	add("okp-with-empty-y", "limit", "", okp.with(-3, bstr(nil)).encode())
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
	l.add("numbers-overflow", "limit", "65,535 and one more", proof.with(-22, num(65535)).with(-24, bstr(make([]byte, 128))).encode())
	l.field(proof, 6, "time", "unknown-key", "a proof has no iat of its own", num(issued))

	l.prefix = "receipt-"
	l.field(cancelPayload().with(-1, num(4)), 6, "time", "unknown-key", "a receipt has no iat", num(issued))
}
