package schemas_test

import (
	"strings"

	"github.com/carillon-iot/carillon/schemas"
)

// bounds are the messages that are just small enough.
func (g *generator) bounds() {
	g.helloBounds()
	g.signInBounds()
	g.upBounds()
	g.downBounds()
	g.grantBounds()
}

func (g *generator) helloBounds() {
	v1 := schemas.Speaks()
	all := v1
	all.Max = 255
	hello := schemas.Hello{ID: id(1), IssuedAt: issued, Versions: v1}
	g.add("hello-chain-of-three", "", "device-1-of-three", device1, &hello)
	g.add("hello-chain-of-four", "the longest", "device-1-of-four", device1, &hello)
	g.add("hello-certificate-2048", "the largest certificate", "device-1-2048", device1, &hello)
	large, seen := hello, welcomeName
	large.Seen = &seen
	g.add("hello-8192", "the largest message up", "device-1-large", device1, &large)
	g.add("hello-greatest", "the last second there is, and version 255", "device-1", device1, &schemas.Hello{ID: id(1), IssuedAt: 1<<40 - 1, Versions: all})
}

func (g *generator) signInBounds() {
	person := handle(1)
	up1 := schemas.UpTopic(device1).String()
	base := schemas.SignIn{ID: id(2), IssuedAt: issued, Scope: "seat media", Device: schemas.Car, ResponseKey: sealingPublic("response-1")}
	greatest := base
	greatest.Scope, greatest.Person, greatest.Expiry, greatest.ACR, greatest.Device = longText("s", 256), &person, 65535, longText("é", 32), schemas.Thing
	greatest.Sealed = junkHint(4096)
	g.add("sign-in-greatest", "scope of 256 bytes, expiry 65,535, acr of 64 bytes, the last kind of device, a sealed part of 4,096 bytes (which does not open)",
		"device-1", device1, &greatest)
	hint := func(name, comment string, plaintext entries) {
		m := base
		m.Sealed = g.seal("private-"+name, comment, "private", "bridge-sealing", up1, id(2), plaintext)
		g.add("sign-in-"+name, "private-"+name+" of sealed.json", "device-1", device1, &m)
	}
	hint("login-hint-256", "the longest login_hint", entries{}.with(-27, text(longText("a", 256))))
	hint("login-hint-token-3072", "the longest login_hint_token, and the longest purpose", entries{}.with(-28, text(longText("a", 3072))).with(-30, text(longText("é", 64))))
	hint("id-token-hint-3072", "the longest id_token_hint", entries{}.with(-29, text(longText("a", 3072))))
}

func (g *generator) upBounds() {
	g.add("sign-out-sixteen", "as many sessions as a message can name", "device-1", device1, &schemas.SignOut{ID: id(4), IssuedAt: issued, Sessions: sixteen()})
	claims := schemas.ProofClaims{Device: device1, ID: id(3), Number: 65476, Endpoint: "https://op.example.com/token", IssuedAt: issued}
	g.add("proof-sixty", "answers prove-last: as many proofs as there can be, up to the highest number", "device-1", device1,
		&schemas.Proof{ID: id(3), First: 65476, Signatures: g.signatures("device-1", claims, 60, 1)})
}

func (g *generator) downBounds() {
	sealing := sealingPublic("bridge-sealing")
	g.add("welcome-eight-peers", "as many as there can be; senders.json says which are accepted", "bridge-1", device1,
		&schemas.Welcome{ID: id(1), IssuedAt: issued, Versions: schemas.Speaks(), Name: welcomeName, Sealing: &sealing, Peers: g.peers()})
	g.add("pending-binding-64", "the longest binding message", "bridge-1", device1, &schemas.Pending{ID: id(2), ExpiresIn: 120, Binding: longText("€", 21) + "a"})
	g.add("refused-greatest", "the highest code and the longest pause", "bridge-1", device1,
		&schemas.Refused{ID: id(2), IssuedAt: issued, Code: 255, RetryAfter: 65535})
	g.add("revoked-sixteen", "as many sessions as a message can name", "bridge-1", device1, &schemas.Revoked{ID: id(9), Sessions: sixteen()})
	g.add("prove-greatest", "every number at its highest, and the longest nonce", "bridge-1", device1,
		&schemas.Prove{ID: id(3), IssuedAt: 1<<40 - 1, Endpoint: 255, Interval: 65535, First: 65476, Count: 60, Nonce: longText("n", 256)})
}

func (g *generator) grantBounds() {
	h := handle(2)
	greatest := entries{}.with(1, bstr([]byte(longText("t", 12288)))).with(2, num(1<<32-1)).with(9, text(longText("s", 256))).with(34, num(2)).
		with(-2, bstr(h[:])).with(-31, text(longText("é", 32))).with(-32, cborTrue)
	g.add("granted-greatest", "grant-greatest of sealed.json", "bridge-1", device1, &schemas.Granted{ID: id(2),
		Sealed: g.seal("grant-greatest", "a token of 12,288 bytes, a scope of 256, a name of 64", "grant", "response-1", schemas.DownTopic(device1).String(), id(2), greatest)})
	g.add("granted-16384", "the largest message down; what is sealed in it does not open", "bridge-1", device1, &schemas.Granted{ID: id(2), Sealed: junkGrant(16282)})
}

func sixteen() (ids []schemas.ID) {
	for n := range 16 {
		ids = append(ids, id(byte(n+16)))
	}
	return ids
}

// junkHint and junkGrant are a COSE_Encrypt0 of some number of bytes that says
// nothing.
func junkHint(size int) item {
	kid := sealingPublic("bridge-sealing").ID()
	return junk(amap(num(1), num(41), num(4), bstr(kid[:])), size)
}

func junkGrant(size int) item { return junk(amap(num(1), num(41)), size) }

func junk(protected item, size int) item {
	ek := sealingPublic("response-2")
	make := func(n int) item {
		return arr(bstr(protected), amap(num(-4), bstr(ek[:])), bstr([]byte(strings.Repeat("\x5a", n))))
	}
	return make(size - len(make(1000)) + 1000)
}
