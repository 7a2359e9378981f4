// Package agenttest is the other end for tests of the agent: a bridge in
// memory, made of package schemas alone.
//
// It answers like a real one: a request is recorded once, a repeated one gets
// the state again, and final answers come again until their receipt. Where a
// test needs another behaviour, the fields of [Bridge] are knobs. It runs in a
// testing/synctest bubble as well as in real time.
package agenttest

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
	// DeviceID is the device that the bridge serves.
	DeviceID = "0123456789abcdef"
	// Travel is the time that a message takes, either way.
	Travel = 20 * time.Millisecond
	// TokenBytes is the length of the tokens that it grants.
	TokenBytes = 900
)

// A Heard is a message that the device has published.
type Heard struct {
	At      time.Time
	Message schemas.Message
	Bytes   int // of the payload
	KeyID   schemas.KeyID
}

// A Request is what the bridge knows of one.
type Request struct {
	Message  schemas.Message
	Rings    int // of the person's phone
	Final    schemas.Message
	Receipts int
}

// A Receiver hears the down topic; *agent.Agent is one.
type Receiver interface {
	Handle(topic string, payload []byte)
}

// Bridge is the other end. Its fields may be changed inside Set.
type Bridge struct {
	tb testing.TB
	// CA is the fleet's authority.
	CA *mtlstest.Authority

	mu       sync.Mutex // guards everything below
	requests map[schemas.ID]*Request
	sessions map[schemas.ID]schemas.Handle // by sign-in; the handle of the last grant
	last     time.Time                     // when the last message arrives, on its way

	Cert    *tls.Certificate  // of the bridge
	SealKey *schemas.SealKey  // to which hints are sealed
	Name    schemas.WelcomeID // of what welcomes say
	Peers   []schemas.Bytes   // named in welcomes
	Device  Receiver          // who hears what is said
	Devices map[schemas.KeyID]*x509.Certificate
	Names   map[schemas.Handle]string // of people by handle
	Said    []Heard
	Sizes   []int           // of the payloads that went down
	Private schemas.Private // of the last sign-in

	ExpiresIn uint32        // of pending, seconds
	Scope     string        // of grants
	Life      uint32        // of tokens, seconds
	Renewable bool          // what grants say of their session
	Tokens    int           // granted so far, see Token
	Again     time.Duration // between repetitions of final answers

	// Deaf hears nothing.
	Deaf bool
	// Alive says whether the device is; what a dead one publishes is lost. Nil
	// means yes.
	Alive func() bool
	// Lose reports whether a message gets lost on its way down. Nil means no.
	Lose func(schemas.Message) bool
	// Renewal answers renewals, finally. Nil grants those of sessions that were
	// renewable when they began.
	Renewal func(*schemas.Renew) schemas.Message
	// Answer replaces Reply, which it may call. Nil means Reply.
	Answer func(schemas.Message) []schemas.Message
}

// NewBridge returns a bridge with an authority of its own. In a bubble it must
// be called inside.
func NewBridge(tb testing.TB) *Bridge {
	tb.Helper()
	ca := mtlstest.New(tb)
	key, err := schemas.GenerateSealKey()
	if err != nil {
		tb.Fatal(err)
	}
	return &Bridge{
		tb: tb, CA: ca, Cert: ca.Bridge("eu-1"), SealKey: key, Name: schemas.WelcomeID{1},
		Devices: map[schemas.KeyID]*x509.Certificate{}, requests: map[schemas.ID]*Request{}, sessions: map[schemas.ID]schemas.Handle{},
		Names: map[schemas.Handle]string{}, ExpiresIn: 120, Life: 3600, Again: 5 * time.Second,
	}
}

// Set changes or reads fields.
func (b *Bridge) Set(f func(b *Bridge)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b)
}

// Publish is the device's publisher.
func (b *Bridge) Publish(_ context.Context, topic string, payload []byte) error {
	if topic != schemas.UpTopic(DeviceID).String() {
		b.tb.Errorf("published to %q", topic)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Alive == nil || b.Alive() {
		b.road(func() { b.receive(payload) })
	}
	return nil
}

// road lets something happen after Travel, in order. Called with mu held.
func (b *Bridge) road(arrive func()) {
	at := time.Now().Add(Travel)
	if !at.After(b.last) {
		at = b.last.Add(1)
	}
	b.last = at
	time.AfterFunc(time.Until(at), arrive)
}

// Heard returns the messages of a kind that the device has published.
func (b *Bridge) Heard(k schemas.Kind) (out []Heard) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.Said {
		if s.Message.Kind() == k {
			out = append(out, s)
		}
	}
	return out
}

// Knows returns what the bridge knows of a request.
func (b *Bridge) Knows(id schemas.ID) Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.requests[id]; r != nil {
		return *r
	}
	return Request{}
}

// Rings is how often any phone has rung.
func (b *Bridge) Rings() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests {
		n += r.Rings
	}
	return n
}

// SignerOf returns the signer of a certificate.
func SignerOf(tb testing.TB, c *tls.Certificate) *schemas.Signer {
	tb.Helper()
	chain := make([]*x509.Certificate, len(c.Certificate))
	for i, der := range c.Certificate {
		var err error
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			tb.Fatal(err)
		}
	}
	s, err := schemas.NewSigner(c.PrivateKey.(crypto.Signer), chain)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Quiet is a logger that says nothing.
func Quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
