package schemas_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/schemas"
)

// A source of random valid messages.
type source struct{ *rand.Rand }

func (r source) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + r.IntN(255))
	}
	return b
}

func (r source) id() schemas.ID { return schemas.ID(r.bytes(8)) }

// maybe is p or nil.
func maybe[T any](r source, v T) *T {
	if r.IntN(2) == 0 {
		return nil
	}
	return &v
}

// some is v or zero.
func some[T any](r source, v T) T {
	var zero T
	if r.IntN(2) == 0 {
		return zero
	}
	return v
}

func (r source) text(limit int) string {
	var b strings.Builder
	for b.Len() < limit/2 && r.IntN(8) > 0 {
		b.WriteRune([]rune("ab cdé€語🔔")[r.IntN(9)])
	}
	return b.String()
}

func (r source) key() schemas.PublicKey { return schemas.PublicKey(r.bytes(32)) }
func (r source) handle() schemas.Handle { return schemas.Handle(r.bytes(8)) }
func (r source) time() uint64           { return 1 + r.Uint64N(1<<40-1) }
func (r source) scope() string          { return strings.Repeat("seat media ", 1+r.IntN(8)) + "x" }
func (r source) sessions() (ids []schemas.ID) {
	return slices.Repeat([]schemas.ID{r.id()}, 1+r.IntN(16))
}

func (r source) confirm() *schemas.ConfirmKey {
	curve := []string{"P-256", "Ed25519"}[r.IntN(2)]
	return try(schemas.NewConfirmKey(privateKey(curve, fmt.Sprint(r.IntN(4))).Public()))
}

func (r source) versions() schemas.Versions {
	low := uint8(1 + r.IntN(200))
	return schemas.Versions{Min: low, Max: low + uint8(r.IntN(50))}
}

func (r source) message() schemas.Message {
	kinds := []func() schemas.Message{r.hello, r.signIn, r.renew, r.signOut, r.proof, r.welcome, r.pending, r.refused, r.prove, r.revoked,
		func() schemas.Message { return &schemas.Cancel{ID: r.id()} },
		func() schemas.Message { return &schemas.Receipt{ID: r.id()} },
		func() schemas.Message { return &schemas.Granted{ID: r.id(), Sealed: r.bytes(1 + r.IntN(2000))} },
	}
	return kinds[r.IntN(len(kinds))]()
}

func (r source) hello() schemas.Message {
	return &schemas.Hello{ID: r.id(), IssuedAt: r.time(), Versions: r.versions(),
		Seen: maybe(r, schemas.WelcomeID(r.bytes(8))), Wanted: maybe(r, schemas.KeyID(r.bytes(8)))}
}

func (r source) signIn() schemas.Message {
	m := &schemas.SignIn{ID: r.id(), IssuedAt: r.time(), Scope: r.scope(), Person: maybe(r, r.handle()),
		Sealed: some(r, schemas.Bytes(r.bytes(1+r.IntN(4096)))), Expiry: some(r, uint16(r.IntN(1<<16))), ACR: some(r, r.text(64)),
		Device: schemas.DeviceKind(1 + r.IntN(6)), Seat: schemas.Seat(r.IntN(13)), Moving: r.IntN(2) == 0, ResponseKey: r.key()}
	if m.Person == nil && m.Sealed == nil {
		m.Sealed = r.bytes(9)
	}
	if r.IntN(2) == 0 {
		m.ConfirmKey = r.confirm()
	}
	return m
}

func (r source) renew() schemas.Message {
	m := &schemas.Renew{ID: r.id(), IssuedAt: r.time(), ResponseKey: r.key(), Session: r.id()}
	if r.IntN(2) == 0 {
		m.ConfirmKey = r.confirm()
	}
	return m
}

func (r source) signOut() schemas.Message {
	m := &schemas.SignOut{ID: r.id(), IssuedAt: r.time()}
	switch r.IntN(3) {
	case 0:
		h := r.handle()
		m.Person = &h
	case 1:
		m.Sessions = r.sessions()
	case 2:
		m.All = true
	}
	return m
}

func (r source) proof() schemas.Message {
	return &schemas.Proof{ID: r.id(), First: uint16(r.IntN(1 << 16)), Signatures: r.bytes(64 * (1 + r.IntN(schemas.MaxProofs)))}
}

func (r source) welcome() schemas.Message {
	m := &schemas.Welcome{ID: r.id(), IssuedAt: r.time(), Versions: r.versions(), Name: schemas.WelcomeID(r.bytes(8)), Sealing: maybe(r, r.key())}
	if m.Sealing != nil && r.IntN(2) == 0 {
		m.Peers = slices.Repeat([]schemas.Bytes{r.bytes(1 + r.IntN(300))}, 1+r.IntN(8))
	}
	return m
}

func (r source) pending() schemas.Message {
	return &schemas.Pending{ID: r.id(), ExpiresIn: 1 + r.Uint32N(1<<32-1), Binding: some(r, r.text(64))}
}

func (r source) refused() schemas.Message {
	return &schemas.Refused{ID: r.id(), IssuedAt: r.time(), Code: schemas.Code(1 + r.IntN(255)), RetryAfter: uint16(r.IntN(1 << 16))}
}

func (r source) prove() schemas.Message {
	m := &schemas.Prove{ID: r.id(), IssuedAt: r.time(), Endpoint: uint8(r.IntN(256)), Interval: uint16(r.IntN(1 << 16)), Count: uint8(1 + r.IntN(schemas.MaxProofs))}
	m.First, m.Nonce = uint16(r.IntN(1<<16-60)), some(r, "n0nce~!")
	return m
}

func (r source) revoked() schemas.Message {
	if r.IntN(2) == 0 {
		return &schemas.Revoked{ID: r.id(), All: true}
	}
	return &schemas.Revoked{ID: r.id(), Sessions: r.sessions()}
}

// What is signed arrives as it was, whatever it says; and the other side would
// sign the same payload.
func TestMessagesSurvive(t *testing.T) {
	r := source{rand.New(rand.NewPCG(1, 2))}
	ring := newKeyring()
	signers := map[schemas.Way]*schemas.Signer{schemas.Up: ring.signer("device-2"), schemas.Down: ring.signer("bridge-2")}
	kinds := map[schemas.Kind]int{}
	for range 3000 {
		m := r.message()
		kinds[m.Kind()]++
		top := schemas.Topic{Device: device2, Way: m.Kind().Way()}
		s := signers[top.Way]
		data, err := s.Sign(top, m)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		e, err := schemas.Parse(top, data)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		got, err := e.Verify(s.Chain()[0])
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Fatalf("sent %+v, arrived as %+v", m, got)
		}
		sent, again := try(schemas.MarshalPayload(m)), try(schemas.MarshalPayload(got))
		if !bytes.Equal(sent, again) {
			t.Fatalf("sent %x, would be sent on as %x", sent, again)
		}
	}
	if len(kinds) != 13 {
		t.Errorf("only %v", kinds)
	}
}

// Sealed contents arrive as they were.
func TestSecretsSurvive(t *testing.T) {
	r := source{rand.New(rand.NewPCG(3, 4))}
	k := try(schemas.ParseSealKey(seed("response-1")))
	for range 500 {
		id := r.id()
		p := schemas.Private{Purpose: some(r, r.text(128)), LoginHint: "anna" + r.text(200)}
		sealed, err := schemas.SealPrivate(k.Public(), device1, id, p)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := schemas.OpenPrivate(k, device1, id, sealed); err != nil || got != p {
			t.Fatalf("%v", err)
		}
		g := schemas.Grant{AccessToken: r.bytes(1 + r.IntN(4000)), ExpiresIn: 1 + r.Uint32N(9999), Scope: some(r, r.scope()),
			TokenType: some(r, schemas.DPoP), Person: r.handle(), Name: some(r, r.text(64)), Renewable: r.IntN(2) == 0}
		if sealed, err = schemas.SealGrant(k.Public(), device1, id, g); err != nil {
			t.Fatal(err)
		}
		if got, err := schemas.OpenGrant(k, device1, id, sealed); err != nil || !reflect.DeepEqual(got, g) {
			t.Fatalf("%v", err)
		}
	}
}

// What this package refuses to read, it refuses to write.
func TestNothingBadIsSent(t *testing.T) {
	h := schemas.Handle{1}
	good := schemas.SignIn{ID: schemas.ID{1}, IssuedAt: 1, Scope: "seat", Person: &h, Device: schemas.Car, ResponseKey: schemas.PublicKey{1}}
	if _, err := schemas.MarshalPayload(&good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*schemas.SignIn){
		"no id":                func(m *schemas.SignIn) { m.ID = schemas.ID{} },
		"no time":              func(m *schemas.SignIn) { m.IssuedAt = 0 },
		"scope of two spaces":  func(m *schemas.SignIn) { m.Scope = "seat  media" },
		"nobody":               func(m *schemas.SignIn) { m.Person = nil },
		"nobody, empty sealed": func(m *schemas.SignIn) { m.Person, m.Sealed = nil, []byte{} },
		"zero person":          func(m *schemas.SignIn) { m.Person = new(schemas.Handle) },
		"acr not UTF-8":        func(m *schemas.SignIn) { m.ACR = "\xff" },
		"acr with a newline":   func(m *schemas.SignIn) { m.ACR = "a\n" },
		"seat 13":              func(m *schemas.SignIn) { m.Seat = 13 },
		"no device":            func(m *schemas.SignIn) { m.Device = 0 },
		"empty confirm key":    func(m *schemas.SignIn) { m.ConfirmKey = new(schemas.ConfirmKey) },
	} {
		m := good
		spoil(&m)
		if b, err := schemas.MarshalPayload(&m); err == nil || b != nil {
			t.Errorf("%s: encodes to %x", name, b)
		}
	}
}
