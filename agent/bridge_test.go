package agent_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

const (
	deviceID = "0123456789abcdef"
	travel   = 20 * time.Millisecond // of a message, either way
	token900 = 900
)

// said is one message that the device has published.
type said struct {
	at    time.Time
	m     schemas.Message
	bytes int // of the payload
	kid   schemas.KeyID
}

// A bridge is the other end, made of package schemas alone. It answers like a
// real one: a request is recorded once, repeated requests get the state again,
// final answers come again until their receipt.
type bridge struct {
	t     testing.TB
	ca    *mtlstest.Authority
	cert  *tls.Certificate
	seal  *schemas.SealKey
	peers []schemas.Bytes

	mu       sync.Mutex // guards everything below
	agents   receiver   // who hears the down topic
	devices  map[schemas.KeyID]*x509.Certificate
	requests map[schemas.ID]*request
	said     []said
	sizes    []int // of the down messages that went out
	names    map[schemas.Handle]string
	greet    schemas.WelcomeID
	last     time.Time // when the last message arrives

	// Knobs.
	deaf    bool                                      // nothing comes in
	alive   func() bool                               // whether the device is; nil: yes
	lose    func(m schemas.Message) bool              // a down message that gets lost
	answer  func(m schemas.Message) []schemas.Message // instead of what a bridge does; nil result: silence
	expires uint32                                    // of pending, seconds
	scope   string                                    // of grants
	life    uint32                                    // of tokens, seconds
	again   time.Duration                             // between repetitions of final answers
	private schemas.Private                           // of the last sign-in
}

type receiver interface {
	Handle(topic string, payload []byte)
}

// request is what the bridge knows of one.
type request struct {
	m        schemas.Message
	rings    int // pushes to the phone
	final    schemas.Message
	receipts int
}

func newBridge(t testing.TB) *bridge {
	ca := mtlstest.New(t)
	seal, err := schemas.GenerateSealKey()
	if err != nil {
		t.Fatal(err)
	}
	return &bridge{
		t: t, ca: ca, cert: ca.Bridge("eu-1"), seal: seal, greet: schemas.WelcomeID{1},
		devices: map[schemas.KeyID]*x509.Certificate{}, requests: map[schemas.ID]*request{},
		names: map[schemas.Handle]string{}, expires: 120, life: 3600, again: 5 * time.Second,
	}
}

func signerOf(t testing.TB, c *tls.Certificate) *schemas.Signer {
	chain := []*x509.Certificate{c.Leaf}
	for _, der := range c.Certificate[1:] {
		parent, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, parent)
	}
	s, err := schemas.NewSigner(c.PrivateKey.(crypto.Signer), chain)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Publish is the device's publisher.
func (b *bridge) Publish(_ context.Context, topic string, payload []byte) error {
	if topic != schemas.UpTopic(deviceID).String() {
		b.t.Errorf("published to %q", topic)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.alive == nil || b.alive() {
		b.road(func() { b.receive(payload) })
	}
	return nil
}

// road lets something happen after the time of travel, in order. Called with mu
// held.
func (b *bridge) road(arrive func()) {
	at := time.Now().Add(travel)
	if !at.After(b.last) {
		at = b.last.Add(1)
	}
	b.last = at
	time.AfterFunc(time.Until(at), arrive)
}

func (b *bridge) receive(payload []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	env, err := schemas.Parse(schemas.UpTopic(deviceID), payload)
	if err != nil {
		b.t.Errorf("the device said what does not parse: %v", err)
		return
	}
	cert := b.devices[env.KeyID]
	if env.Chain != nil {
		cert = env.Chain[0]
	}
	b.said = append(b.said, said{time.Now(), env.Unverified(), len(payload), env.KeyID})
	if b.deaf {
		return
	}
	if cert == nil {
		b.say(b.refusal(env.Unverified().RequestID(), schemas.UnknownKey))
		return
	}
	m, err := env.Verify(cert)
	if err != nil {
		b.t.Errorf("the device said what does not verify: %v", err)
		return
	}
	b.devices[env.KeyID] = cert
	reply := b.reply
	if b.answer != nil {
		reply = b.answer
	}
	for _, a := range reply(m) {
		b.say(a)
	}
}

// reply is what a bridge does. Called with mu held.
func (b *bridge) reply(m schemas.Message) []schemas.Message {
	switch m := m.(type) {
	case *schemas.Hello:
		return []schemas.Message{b.welcome(m)}
	case *schemas.Receipt:
		if r := b.requests[m.ID]; r != nil && r.final != nil {
			r.receipts++
		}
		return nil
	}
	r := b.requests[m.RequestID()]
	if r != nil {
		if c, ok := m.(*schemas.Cancel); ok && r.final == nil {
			return b.finally(b.refusal(c.ID, schemas.Cancelled))
		}
		if r.final != nil {
			return []schemas.Message{r.final}
		}
		return []schemas.Message{&schemas.Pending{ID: m.RequestID(), ExpiresIn: b.expires, Binding: "4711"}}
	}
	b.requests[m.RequestID()] = &request{m: m}
	return b.first(m)
}

// first is the answer to a request that is new.
func (b *bridge) first(m schemas.Message) []schemas.Message {
	switch m := m.(type) {
	case *schemas.SignIn:
		if err := schemas.Fresh(m.IssuedAt, time.Now()); err != nil {
			delete(b.requests, m.ID)
			return []schemas.Message{b.refusal(m.ID, schemas.ClockSkew)}
		}
		if m.Sealed != nil {
			p, err := schemas.OpenPrivate(b.seal, deviceID, m.ID, m.Sealed)
			if err != nil {
				b.t.Errorf("the hint does not open: %v", err)
			}
			b.private = p
		}
		if m.Person != nil && b.names[*m.Person] == "" {
			return b.finally(b.refusal(m.ID, schemas.UnknownPerson))
		}
		b.requests[m.ID].rings++
		return []schemas.Message{&schemas.Pending{ID: m.ID, ExpiresIn: b.expires, Binding: "4711"}}
	case *schemas.Cancel:
		return b.finally(b.refusal(m.ID, schemas.Cancelled))
	case *schemas.SignOut:
		if err := schemas.Fresh(m.IssuedAt, time.Now()); err != nil {
			delete(b.requests, m.ID)
			return []schemas.Message{b.refusal(m.ID, schemas.ClockSkew)}
		}
		out := &schemas.Revoked{ID: m.ID, Sessions: m.Sessions, All: m.All}
		if m.Person != nil {
			out.Sessions = []schemas.ID{{9, 9}}
		}
		return b.finally(out)
	}
	b.t.Errorf("the device said %v", m.Kind())
	return nil
}

// finally records a final answer and repeats it until its receipt.
func (b *bridge) finally(m schemas.Message) []schemas.Message {
	id := m.RequestID()
	r := b.requests[id]
	r.final = m
	born := time.Now()
	var repeat func()
	repeat = func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if r.receipts == 0 && time.Since(born) < 24*time.Hour {
			b.say(r.final)
			time.AfterFunc(b.again, repeat)
		}
	}
	time.AfterFunc(b.again, repeat)
	return []schemas.Message{m}
}

// approve is the person's tap: the sign-in is granted.
func (b *bridge) approve(id schemas.ID, name string) schemas.Handle {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.requests[id]
	if r == nil || r.final != nil {
		b.t.Errorf("approving %v, which does not ring", id)
		return schemas.Handle{}
	}
	in := r.m.(*schemas.SignIn)
	h := schemas.NewHandle()
	if in.Person != nil {
		name = b.names[*in.Person]
		delete(b.names, *in.Person)
	}
	b.names[h] = name
	access := make([]byte, token900)
	for i := range access {
		access[i] = "abcdefghijklmnop"[i%16]
	}
	sealed, err := schemas.SealGrant(in.ResponseKey, deviceID, id, schemas.Grant{
		AccessToken: access, ExpiresIn: b.life, Person: h, Name: name, Scope: b.scope,
	})
	if err != nil {
		b.t.Errorf("sealing: %v", err)
	}
	for _, m := range b.finally(&schemas.Granted{ID: id, Sealed: sealed}) {
		b.say(m)
	}
	return h
}

// refuse ends a sign-in.
func (b *bridge) refuse(id schemas.ID, c schemas.Code) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.finally(b.refusal(id, c)) {
		b.say(m)
	}
}

func (b *bridge) refusal(id schemas.ID, c schemas.Code) *schemas.Refused {
	return &schemas.Refused{ID: id, IssuedAt: schemas.Seconds(time.Now()), Code: c}
}

func (b *bridge) welcome(h *schemas.Hello) *schemas.Welcome {
	w := &schemas.Welcome{ID: h.ID, IssuedAt: schemas.Seconds(time.Now()), Versions: schemas.Speaks(), Name: b.greet}
	if h.Seen == nil || *h.Seen != b.greet || h.Wanted != nil {
		pub := b.seal.Public()
		w.Sealing, w.Peers = &pub, b.peers
	}
	return w
}

// say publishes a message on the down topic. Called with mu held.
func (b *bridge) say(m schemas.Message) {
	wire, err := signerOf(b.t, b.cert).Sign(schemas.DownTopic(deviceID), m)
	if err != nil {
		b.t.Errorf("signing a %v: %v", m.Kind(), err)
		return
	}
	b.sizes = append(b.sizes, len(wire))
	if b.lose != nil && b.lose(m) {
		return
	}
	b.deliver(wire)
}

// deliver brings bytes to the device as they are. Called with mu held.
func (b *bridge) deliver(wire []byte) {
	b.road(func() {
		b.mu.Lock()
		to := b.agents
		b.mu.Unlock()
		if to != nil {
			to.Handle(schemas.DownTopic(deviceID).String(), wire)
		}
	})
}

// heard returns the messages of a kind that the device has published.
func (b *bridge) heard(k schemas.Kind) (out []said) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.said {
		if s.m.Kind() == k {
			out = append(out, s)
		}
	}
	return out
}

// knows returns what the bridge knows of a request.
func (b *bridge) knows(id schemas.ID) request {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.requests[id]; r != nil {
		return *r
	}
	return request{}
}

// set changes a knob.
func (b *bridge) set(f func(b *bridge)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
