package schemas_test

import (
	"strings"

	"github.com/carillon-iot/carillon/schemas"
)

// token is what an access token looks like: long, and of no meaning here.
var token = []byte("eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJhbm5hIiwic2NvcGUiOiJzZWF0IG1lZGlhIn0.c2lnbmF0dXJl")

func text(s string) item { return tstr(s) }

func (g *generator) messages() {
	g.hellos()
	g.signIns()
	g.otherUps()
	g.welcomes()
	g.answers()
	g.proves()
	g.bounds()
}

func (g *generator) hellos() {
	v1 := schemas.Speaks()
	wanted := schemas.KeyIDOf(g.keys.signing["bridge-2"].cert)
	seen := welcomeName
	g.add("hello", "first contact", "device-1", device1, &schemas.Hello{ID: id(1), IssuedAt: issued, Versions: v1})
	g.add("hello-1970", "the clock of a device that has just been switched on; a hello is judged by no window", "device-1", device1,
		&schemas.Hello{ID: id(1), IssuedAt: 42, Versions: v1})
	g.add("hello-eddsa", "Ed25519", "device-2", device2, &schemas.Hello{ID: id(1), IssuedAt: issued, Versions: v1})
	g.add("hello-one-certificate", "an x5chain of one certificate is a byte string, not an array", "device-1-direct", device1,
		&schemas.Hello{ID: id(1), IssuedAt: issued, Versions: v1})
	g.add("hello-after-renewal", "names the welcome that the device keeps", "device-1-renewed", device1,
		&schemas.Hello{ID: id(1), IssuedAt: issued, Versions: v1, Seen: &seen})
	g.add("hello-wanted", "asks for the certificate behind a kid it does not know", "device-1", device1,
		&schemas.Hello{ID: id(1), IssuedAt: issued, Versions: v1, Seen: &seen, Wanted: &wanted})
	future := v1
	future.Max = 3
	g.add("hello-later-versions", "a later device that still speaks version 1", "device-1", device1,
		&schemas.Hello{ID: id(1), IssuedAt: issued, Versions: future})
}

func (g *generator) signIns() {
	person := handle(1)
	response := sealingPublic("response-1")
	base := schemas.SignIn{ID: id(2), IssuedAt: issued, Scope: "seat media", Device: schemas.Car, ResponseKey: response}
	up1 := schemas.UpTopic(device1).String()

	paired := base
	paired.Person = &person
	g.add("sign-in-paired", "a person this device knows by a handle", "device-1", device1, &paired)
	g.add("sign-in-paired-eddsa", "Ed25519", "device-2", device2, &paired)

	all := paired
	all.Expiry, all.ACR, all.Seat, all.Moving, all.Device = 120, "urn:example:acr:strong", 12, true, schemas.Car
	g.add("sign-in-all-options", "everything that may stand beside a handle", "device-1", device1, &all)

	own, okp := paired, paired
	own.ConfirmKey, okp.ConfirmKey = confirmKey(g.keys.signing["device-1-renewed"]), confirmKey(g.keys.signing["device-2"])
	g.add("sign-in-confirm-p256", "the token is to be bound to another key than the certificate's", "device-1", device1, &own)
	g.add("sign-in-confirm-ed25519", "the same with Ed25519", "device-1", device1, &okp)

	hint := base
	hint.Sealed = g.seal("private-login-hint", "who, by e-mail address", "private", "bridge-sealing", up1, id(2),
		entries{}.with(-27, text("anna@example.com")))
	g.add("sign-in-hint", "who, said to the bridge alone: private-login-hint of sealed.json", "device-1", device1, &hint)

	hintToken := base
	hintToken.Device = schemas.Desk
	hintToken.Sealed = g.seal("private-login-hint-token", "who, by a token, and what for", "private", "bridge-sealing", up1, id(2),
		entries{}.with(-28, text("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIn0.")).with(-30, text("Pay 24.90 € at till 7")))
	g.add("sign-in-hint-token", "private-login-hint-token of sealed.json", "device-1", device1, &hintToken)

	idToken := base
	idToken.Device = schemas.Call
	idToken.Sealed = g.seal("private-id-token-hint", "who, by an earlier ID token", "private", "bridge-sealing", up1, id(2),
		entries{}.with(-29, text("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIn0.")))
	g.add("sign-in-id-token-hint", "private-id-token-hint of sealed.json", "device-1", device1, &idToken)

	purpose := paired
	purpose.Device = schemas.Till
	purpose.Sealed = g.seal("private-purpose", "what for alone, beside a handle", "private", "bridge-sealing", up1, id(2),
		entries{}.with(-30, text("Zwei Espressi, 6,40 €")))
	g.add("sign-in-purpose", "a handle, and what it is for: private-purpose of sealed.json", "device-1", device1, &purpose)
}

func (g *generator) otherUps() {
	person := handle(1)
	response := sealingPublic("response-2")
	g.add("cancel", "withdraws the request of that id", "device-1", device1, &schemas.Cancel{ID: id(2)})
	g.add("receipt", "the final answer of that id is stored", "device-1", device1, &schemas.Receipt{ID: id(2)})
	g.add("receipt-eddsa", "Ed25519", "device-2", device2, &schemas.Receipt{ID: id(2)})
	g.add("renew", "a new token in the session that request 2 began", "device-1", device1,
		&schemas.Renew{ID: id(3), IssuedAt: issued, ResponseKey: response, Session: id(2)})
	g.add("renew-confirm", "the same, bound to another key", "device-1", device1,
		&schemas.Renew{ID: id(3), IssuedAt: issued, ResponseKey: response, Session: id(2), ConfirmKey: confirmKey(g.keys.signing["device-2"])})
	g.add("sign-out-person", "", "device-1", device1, &schemas.SignOut{ID: id(4), IssuedAt: issued, Person: &person})
	g.add("sign-out-sessions", "", "device-1", device1, &schemas.SignOut{ID: id(4), IssuedAt: issued, Sessions: []schemas.ID{id(2), id(3)}})
	g.add("sign-out-all", "", "device-1", device1, &schemas.SignOut{ID: id(4), IssuedAt: issued, All: true})

	one := schemas.ProofClaims{Device: device1, ID: id(2), Endpoint: "https://op.example.com/token", IssuedAt: issued}
	g.add("proof", "answers prove: es256 of proofs.json", "device-1", device1,
		&schemas.Proof{ID: id(2), Signatures: g.signatures("device-1", one, 1, 0)})
	three := schemas.ProofClaims{Device: device2, ID: id(3), Number: 7, Endpoint: "https://op.example.com/token", IssuedAt: issued, Nonce: "n0nce"}
	g.add("proof-three", "answers prove-planned: numbers 7 to 9, five seconds apart, with the nonce, by Ed25519", "device-2", device2,
		&schemas.Proof{ID: id(3), First: 7, Signatures: g.signatures("device-2", three, 3, 5)})
}

// welcomeName is opaque to the device; how a bridge makes it is its own affair.
var welcomeName = schemas.WelcomeID{0x3d, 0x0e, 0x5c, 0x9b, 0x11, 0x72, 0xfa, 0x08}

func (g *generator) welcomes() {
	sealing := sealingPublic("bridge-sealing")
	full := schemas.Welcome{ID: id(1), IssuedAt: issued, Versions: schemas.Speaks(), Name: welcomeName, Sealing: &sealing}
	g.add("welcome", "the bridge's chain and sealing key", "bridge-1", device1, &full)
	g.add("welcome-eddsa", "Ed25519", "bridge-2", device2, &full)
	peers := full
	peers.Peers = []schemas.Bytes{g.keys.signing["bridge-2"].cert.Raw}
	g.add("welcome-peers", "names another bridge that may answer", "bridge-1", device1, &peers)
	g.add("welcome-seen", "answers hello-after-renewal: the device has this welcome, so neither chain nor key", "bridge-1", device1,
		&schemas.Welcome{ID: id(1), IssuedAt: issued, Versions: schemas.Speaks(), Name: welcomeName})
}

func (g *generator) answers() {
	down1, down2 := schemas.DownTopic(device1).String(), schemas.DownTopic(device2).String()
	g.add("pending", "the phone rings", "bridge-1", device1, &schemas.Pending{ID: id(2), ExpiresIn: 120, Binding: "W4SV-7RCK"})
	g.add("pending-unicode", "a binding message beyond ASCII", "bridge-1", device1, &schemas.Pending{ID: id(2), ExpiresIn: 120, Binding: "grüne Ähre 7"})
	g.add("pending-bare", "a provider without binding messages", "bridge-2", device2, &schemas.Pending{ID: id(2), ExpiresIn: 4294967295})

	h := handle(2)
	grant := entries{}.with(1, bstr(token)).with(2, num(3600)).with(-2, bstr(h[:]))
	g.add("granted", "grant-minimal of sealed.json", "bridge-1", device1, &schemas.Granted{ID: id(2),
		Sealed: g.seal("grant-minimal", "a bearer token", "grant", "response-1", down1, id(2), grant)})
	more := grant.with(9, tstr("seat")).with(34, num(2)).with(-31, text("Ánna")).with(-32, cborTrue)
	g.add("granted-all", "grant-all of sealed.json", "bridge-1", device1, &schemas.Granted{ID: id(3),
		Sealed: g.seal("grant-all", "a DPoP token for less than was asked, renewable", "grant", "response-2", down1, id(3), more)})
	g.add("granted-eddsa", "grant-device-2 of sealed.json", "bridge-2", device2, &schemas.Granted{ID: id(2),
		Sealed: g.seal("grant-device-2", "to device 2", "grant", "response-1", down2, id(2), grant)})

	g.add("refused-access-denied", "final", "bridge-1", device1, &schemas.Refused{ID: id(2), IssuedAt: issued, Code: schemas.AccessDenied})
	g.add("refused-clock-skew", "not final: iat is the bridge's clock", "bridge-1", device1, &schemas.Refused{ID: id(2), IssuedAt: issued, Code: schemas.ClockSkew})
	g.add("refused-unknown-key", "not final: hello first", "bridge-1", device1, &schemas.Refused{ID: id(2), IssuedAt: issued, Code: schemas.UnknownKey})
	g.add("refused-busy", "not final: again in half a minute", "bridge-1", device1, &schemas.Refused{ID: id(2), IssuedAt: issued, Code: schemas.Busy, RetryAfter: 30})
	g.add("refused-too-many", "final, with advice", "bridge-1", device1, &schemas.Refused{ID: id(2), IssuedAt: issued, Code: schemas.TooManyRequests, RetryAfter: 600})
	g.add("refused-later-code", "a code of a later bridge: final, treated as internal", "bridge-1", device1, &schemas.Refused{ID: id(2), IssuedAt: issued, Code: 200})

	g.add("revoked-sessions", "answers sign-out-sessions", "bridge-1", device1, &schemas.Revoked{ID: id(4), Sessions: []schemas.ID{id(2), id(3)}})
	g.add("revoked-all", "nobody asked: the id is the bridge's", "bridge-1", device1, &schemas.Revoked{ID: id(9), All: true})
}

func (g *generator) proves() {
	g.add("prove", "one proof, number 0, for the first token endpoint", "bridge-1", device1, &schemas.Prove{ID: id(2), IssuedAt: issued, Count: 1})
	g.add("prove-planned", "three proofs, numbers 7 to 9, five seconds apart, with a nonce", "bridge-2", device2,
		&schemas.Prove{ID: id(3), IssuedAt: issued, Endpoint: 0, Interval: 5, First: 7, Count: 3, Nonce: "n0nce"})
	g.add("prove-last", "the highest numbers, the highest endpoint", "bridge-1", device1,
		&schemas.Prove{ID: id(3), IssuedAt: issued, Endpoint: 255, First: 65476, Count: 60, Interval: 1})
}

func texts() textFile {
	valid := func(d schemas.DeviceID) []topicVector {
		return []topicVector{{schemas.UpTopic(d).String(), string(d), "up"}, {schemas.DownTopic(d).String(), string(d), "down"}}
	}
	f := textFile{Comment: "Topics and texts, valid and not."}
	for _, d := range []schemas.DeviceID{device1, "0", "a-b-c", "abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz0"} {
		f.Topics = append(f.Topics, valid(d)...)
	}
	for _, bad := range []string{
		"", "carillon", "carillon/v1", "carillon/v1/", "carillon/v1//up", "carillon/v1/k3m9x7q2w5h8d4tb", "carillon/v1/k3m9x7q2w5h8d4tb/",
		"carillon/v1/k3m9x7q2w5h8d4tb/up/", "/carillon/v1/k3m9x7q2w5h8d4tb/up", "carillon/v1/k3m9x7q2w5h8d4tb/UP", "carillon/v1/K3M9X7Q2W5H8D4TB/up",
		"Carillon/v1/k3m9x7q2w5h8d4tb/up", "carillon/v2/k3m9x7q2w5h8d4tb/up", "carillon/v1/k3m9x7q2w5h8d4tb/up/down", "carillon/v1/a_b/up",
		"carillon/v1/a b/up", "carillon/v1/+/up", "carillon/v1/#", "carillon/v1/a/+", "$share/bridge/carillon/v1/k3m9x7q2w5h8d4tb/up",
		"carillon/v1/ü/up", "carillon/v1/a\x00/up", "carillon/v1/abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz01/up",
	} {
		f.Topics = append(f.Topics, topicVector{Topic: bad})
	}
	f.Scopes = []textVector{
		{"seat", true, ""}, {"seat media climate.read", true, ""}, {"!#$%&'()*+,-./:;<=>?@[]^_`{|}~", true, "every mark that a scope-token may have"},
		{longText("s", 256), true, "256 bytes"}, {"https://example.com/scopes/seat", true, ""},
		{"", false, "empty"}, {" ", false, ""}, {" seat", false, ""}, {"seat ", false, ""}, {"seat  media", false, "two spaces"}, {"seat\tmedia", false, ""},
		{"seat\n", false, ""}, {`se"at`, false, ""}, {`se\at`, false, ""}, {"sièges", false, "not ASCII"}, {"seat\x7f", false, ""}, {longText("s", 257), false, "257 bytes"},
	}
	f.Texts = []textVector{
		{"Anna", true, ""}, {"Ánna-Lena O’Brien", true, ""}, {"安娜", true, ""}, {"🔔", true, "beyond the basic plane"}, {"A\u0301", true, "a combining mark: texts are not normalised"},
		{"\uFFFD", true, "a replacement character is a character"}, {"a\u200fb", true, "a mark of direction: screens isolate what they show"},
		{longText("é", 32), true, "64 bytes in 32 characters"}, {longText("é", 32) + "a", false, "65 bytes"},
		{"a\nb", false, "U+000A"}, {"a\u0000b", false, "U+0000"}, {"a\u001fb", false, "U+001F"}, {"a\u007fb", false, "U+007F"}, {"a\u0080b", false, "U+0080"}, {"a\u009fb", false, "U+009F"},
	}
	f.Endpoints = []textVector{
		{"https://op.example.com/token", true, ""}, {"https://op.example.com:8443/a/b;c=1,2&d='x'", true, ""},
		{"", false, ""}, {"https://op.example.com/token?x=1", false, "a query"}, {"https://op.example.com/token#x", false, "a fragment"},
		{"https://op.example.com/\"", false, "it would end the JSON string"}, {"https://op.example.com/a b", false, ""}, {"https://op.example.com/ü", false, "not ASCII"},
	}
	f.Nonces = []textVector{
		{"eyJ7S_zG.eyJH0-Z.HX4w-7v", true, ""}, {"!#[]~", true, "the corners of NQCHAR"}, {"<>&'", true, "not escaped in JSON"}, {longText("n", 256), true, "256 bytes"},
		{"n n", false, ""}, {`n"`, false, ""}, {`n\`, false, ""}, {"n\x7f", false, ""}, {"ñ", false, ""}, {longText("n", 257), false, "257 bytes"},
	}
	return f
}

func longText(s string, n int) string { return strings.Repeat(s, n) }
