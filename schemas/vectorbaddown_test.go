package schemas_test

import "strings"

func pendingPayload() entries {
	return entries{}.with(-1, num(12)).with(7, id8(2)).with(2, num(120))
}

// revokedPayload does not say yet what is revoked.
func revokedPayload() entries { return entries{}.with(-1, num(16)).with(7, id8(4)) }

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
	pending := pendingPayload()
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

	revoked := revokedPayload()
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
