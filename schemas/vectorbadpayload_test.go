package schemas_test

import (
	"encoding/binary"
	"math"

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
	l.add("is-pending", "wrong-way", "a down message on an up topic", pendingPayload().encode())
	l.add("is-revoked", "wrong-way", "the same", revokedPayload().with(-19, cborTrue).encode())
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
	l.field(base, -2, "four-levels", "wrong-type", "four levels are not too deep, but no message has them", arr(arr(arr(num(1)))))
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
	l.field(base, 6, "time-float", "wrong-type", "1790000000.0", binary.BigEndian.AppendUint64(item{0xfb}, math.Float64bits(issued)))
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
