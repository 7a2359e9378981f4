package schemas_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/schemas"
)

// A jws is what a message would be as JSON: the same content as a compact JWS
// signed with ES256, sealed parts as a compact JWE (ECDH-ES with X25519,
// A128GCM), the topic as aud. Its signature is 64 bytes of nothing, for only
// the length counts.
func jws(claims map[string]any) []byte {
	b64 := base64.RawURLEncoding.EncodeToString
	header := fmt.Sprintf(`{"alg":"ES256","kid":"%s"}`, b64(make([]byte, 8)))
	return []byte(b64([]byte(header)) + "." + b64(try(json.Marshal(claims))) + "." + b64(make([]byte, 64)))
}

func jwe(kid string, claims map[string]any) string {
	b64 := base64.RawURLEncoding.EncodeToString
	if kid != "" {
		kid = `,"kid":"` + kid + `"`
	}
	header := fmt.Sprintf(`{"alg":"ECDH-ES","enc":"A128GCM"%s,"epk":%s}`, kid, try(json.Marshal(x25519())))
	ciphertext := try(json.Marshal(claims))
	return b64([]byte(header)) + ".." + b64(make([]byte, 12)) + "." + b64(ciphertext) + "." + b64(make([]byte, 16))
}

func x25519() map[string]any {
	return map[string]any{"kty": "OKP", "crv": "X25519", "x": base64.RawURLEncoding.EncodeToString(make([]byte, 32))}
}

// A sized message: what it costs here and as JSON.
type sized struct {
	name   string
	budget int // bytes, 0 for none
	topic  schemas.Topic
	data   []byte
	json   []byte
	minus  int // bytes that are not overhead
}

func b8() string { return base64.RawURLEncoding.EncodeToString(make([]byte, 8)) }

// accessToken is 900 bytes, as long as a JWT of a common provider.
var accessToken = []byte(strings.Repeat("t", 900))

// sizes makes the messages of one sign-in, with everything that a car would say.
func sizes() []sized {
	ring := newKeyring()
	device, bridge := ring.signer("device-1"), ring.signer("bridge-1")
	up, down := schemas.UpTopic(device1), schemas.DownTopic(device1)
	k := try(schemas.ParseSealKey(seed("response-1")))
	h := handle(1)
	claims := func(top schemas.Topic, more map[string]any) map[string]any {
		m := map[string]any{"jti": b8(), "aud": top.String()}
		for key, v := range more {
			m[key] = v
		}
		return m
	}
	signIn := schemas.SignIn{ID: id(2), IssuedAt: issued, Scope: "settings.seat settings.media", Device: schemas.Car, Seat: 1, Expiry: 120, ResponseKey: k.Public()}
	asked := map[string]any{"type": "sign-in", "iat": issued, "scope": signIn.Scope, "device": "car", "seat": 1, "requested_expiry": 120, "response_key": x25519()}
	paired, hinted := signIn, signIn
	paired.Person = &h
	hinted.Sealed = try(schemas.SealPrivate(k.Public(), device1, id(2), schemas.Private{LoginHint: "anna.kovacs@mail.example.com"}))
	grant := schemas.Grant{AccessToken: accessToken, ExpiresIn: 3600, TokenType: schemas.DPoP, Person: h, Name: "Anna Kovács", Renewable: true}
	granted := &schemas.Granted{ID: id(2), Sealed: try(schemas.SealGrant(k.Public(), device1, id(2), grant))}
	opened := map[string]any{"access_token": string(accessToken), "expires_in": 3600, "token_type": "DPoP", "person": b8(), "name": grant.Name, "renewable": true}
	binding := "Anna's car, Row 1: W4SV-7RCK"

	with := func(m map[string]any, key string, v any) map[string]any {
		out := map[string]any{key: v}
		for k, x := range m {
			out[k] = x
		}
		return out
	}
	return []sized{
		{"sign-in, paired person, two scopes", 192, up, try(device.Sign(up, &paired)), jws(claims(up, with(asked, "person", b8()))), 0},
		{"sign-in, sealed e-mail hint", 320, up, try(device.Sign(up, &hinted)),
			jws(claims(up, with(asked, "sealed", jwe(b8(), map[string]any{"login_hint": "anna.kovacs@mail.example.com"})))), 0},
		{"pending, binding message of 28 bytes", 144, down, try(bridge.Sign(down, &schemas.Pending{ID: id(2), ExpiresIn: 120, Binding: binding})),
			jws(claims(down, map[string]any{"type": "pending", "expires_in": 120, "binding_message": binding})), 0},
		{"granted, over the token of 900 bytes", 208, down, try(bridge.Sign(down, granted)),
			jws(claims(down, map[string]any{"type": "granted", "sealed": jwe("", opened)})), len(accessToken)},
		{"receipt", 112, up, try(device.Sign(up, &schemas.Receipt{ID: id(2)})), jws(claims(up, map[string]any{"type": "receipt"})), 0},
		{"refused, with retry-after", 0, down, try(bridge.Sign(down, &schemas.Refused{ID: id(2), IssuedAt: issued, Code: schemas.TooManyRequests, RetryAfter: 600})),
			jws(claims(down, map[string]any{"type": "refused", "iat": issued, "code": "too_many_requests", "retry_after": 600})), 0},
		{"cancel", 0, up, try(device.Sign(up, &schemas.Cancel{ID: id(2)})), jws(claims(up, map[string]any{"type": "cancel"})), 0},
	}
}

// publish is how many bytes MQTT 3.1.1 moves for one QoS 1 message: fixed
// header, topic, packet id, payload, and the PUBACK in return.
func publish(topic schemas.Topic, payload int) int {
	remaining := 2 + len(topic.String()) + 2 + payload
	length := 1
	for n := remaining; n >= 128; n /= 128 {
		length++
	}
	return 1 + length + remaining + 4
}

// TestBudgets prints what messages cost and holds design's bounds.
func TestBudgets(t *testing.T) {
	for _, m := range sizes() {
		size, asJSON := len(m.data)-m.minus, len(m.json)-m.minus
		t.Logf("%-40s %4d bytes, as JWS %4d (x %.2f), budget %d", m.name, size, asJSON, float64(asJSON)/float64(size), m.budget)
		if m.budget > 0 && size > m.budget {
			t.Errorf("%s: %d bytes, budget %d", m.name, size, m.budget)
		}
	}
	ours, theirs := wholeSignIn()
	t.Logf("%-40s %4d bytes, as JWS %4d (x %.2f), budget 1800", "whole sign-in over MQTT, both ways", ours, theirs, float64(theirs)/float64(ours))
	if ours > 1800 {
		t.Errorf("a whole sign-in: %d bytes, budget 1800", ours)
	}
}

// wholeSignIn adds up sign-in, pending, granted and receipt.
func wholeSignIn() (ours, theirs int) {
	all := sizes()
	for _, i := range []int{0, 2, 3, 4} {
		ours += publish(all[i].topic, len(all[i].data))
		theirs += publish(all[i].topic, len(all[i].json))
	}
	return ours, theirs
}

// SealOverhead is what sealing adds to a grant of ordinary size.
func TestSealOverhead(t *testing.T) {
	for _, n := range []int{240, 900, 12288} {
		s := goodGrant()
		s.plaintext = make([]byte, n)
		if got := len(s.seal()) - n; got != schemas.SealOverhead {
			t.Errorf("%d bytes of plaintext grow by %d, want %d", n, got, schemas.SealOverhead)
		}
	}
}
