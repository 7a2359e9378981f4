// Package bridge turns signed requests of devices into sign-ins at an OpenID
// provider, and what the person decides into signed answers.
//
// A [Bridge] receives the messages of schemas from one side ([Bridge.Handle])
// and publishes answers to it ([Publisher]); on the other side it speaks CIBA
// to a [Provider]. What a sign-in has come to is in a store, so that a bridge
// may be killed at any moment: see docs/bridge.md for the order of the durable
// steps and what each crash leaves behind.
//
// # What holds
//
//   - One request rings the phone at most once, whatever crashes and however
//     often the device repeats it.
//   - A request that was accepted gets a final answer that this bridge signed.
//     It is published again and again until the device's receipt, so it does not
//     matter what the broker loses.
//   - Nothing secret is stored or logged in clear. A token is never stored but
//     sealed to the device.
//
// # Who owns what
//
// [Bridge.Run] owns every goroutine: the lanes that handle messages (in order
// for one device), the lanes that publish, the loops that find due work in the
// store, and the store's writer. No goroutine waits for a person.
package bridge

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
	"golang.org/x/sync/errgroup"
)

// Config is what a bridge works with. All fields are required but those that
// say what nil or zero means.
type Config struct {
	// Signer returns the signer of answers: the bridge's certificate and key. It
	// is asked often, so that a renewed certificate is taken up, and must answer
	// at once. See FixedSigner.
	Signer func() (*schemas.Signer, error)
	// SealKeys open the hints of devices. The first is told to devices; the
	// others are for devices that have not heard of it yet. All bridges of one
	// store share them.
	SealKeys []*schemas.SealKey
	// Devices are the roots of device certificates.
	Devices *x509.CertPool
	// Revoked reports whether a device's certificate was revoked; nil means that
	// none ever is.
	Revoked func(*x509.Certificate) bool
	// Provider rings the phones.
	Provider Provider
	// Issuer is the provider's issuer identifier. People are known by it and
	// their subject.
	Issuer string
	// Store holds what outlives the process. Run runs its writer; opening and
	// closing it is the caller's.
	Store *store.Store
	// Publisher carries answers to the devices.
	Publisher Publisher
	// Policy says which sign-ins are taken on; begin with policy.Default.
	Policy policy.Policy
	// RequestContext sends request_context (FAPI-CIBA section 5.2.2) with each
	// authentication request: which kind of device asks and what for.
	RequestContext bool
	// Limits bound the bridge's work; zero fields have defaults.
	Limits Limits
	// Logger hears one line for each sign-in that ends, and every fault; nil means
	// slog.Default().
	Logger *slog.Logger

	failpoint func(step string) // of crash tests; nil outside
}

// A Provider is an OpenID provider with CIBA. *ciba.Client is one.
type Provider interface {
	// RequestAuthentication rings a phone.
	RequestAuthentication(context.Context, ciba.AuthenticationRequest) (ciba.Acknowledgement, error)
	// RequestToken asks once what became of it.
	RequestToken(context.Context, ciba.TokenRequest) (*ciba.Tokens, error)
}

// A Publisher publishes to an MQTT topic. *link.Link is one. Nil says that the
// broker has the message, which proves nothing.
type Publisher interface {
	Publish(ctx context.Context, topic string, payload []byte) error
}

// Limits bound what a bridge does at the same time. What exceeds them is refused
// as busy, before anything is stored, and the device repeats it.
type Limits struct {
	Open  int // sign-ins that wait for a person; 0 means 1,000,000
	Calls int // authentication requests at the provider at the same time; 0 means 128
	Polls int // token requests at the provider at the same time; 0 means 256
}

func (l Limits) withDefaults() (Limits, error) {
	for _, f := range []struct {
		name string
		n    *int
		def  int
	}{{"open", &l.Open, 1_000_000}, {"calls", &l.Calls, 128}, {"polls", &l.Polls, 256}} {
		if *f.n < 0 {
			return l, fmt.Errorf("limit %q is %d, want 1 or more, or 0 for %d", f.name, *f.n, f.def)
		}
		if *f.n == 0 {
			*f.n = f.def
		}
	}
	return l, nil
}

// FixedSigner returns a Config.Signer that always returns s.
func FixedSigner(s *schemas.Signer) func() (*schemas.Signer, error) {
	return func() (*schemas.Signer, error) { return s, nil }
}

// A Bridge serves the devices of one broker with one provider. Several may share
// a store.
type Bridge struct {
	cfg      Config
	limits   Limits
	log      *slog.Logger
	sealKeys map[schemas.KeyID]*schemas.SealKey // immutable

	senders  *senders
	greeting greeting
	pace     *gate // of messages
	knocks   *gate // of answers to unknown keys

	intake *lanes[message]
	outbox *lanes[message]

	calls       chan struct{} // a token for each authentication request at the provider
	polls       chan struct{} // a token for each poll; only the poll loop adds
	wakePolls   bell
	wakeAnswers bell

	work     context.Context // of calls and polls: outlives Run's ctx by drainTime; set by Run
	stopWork context.CancelFunc
	working  sync.WaitGroup // calls and polls

	started, running atomic.Bool
	starved          atomic.Bool  // there may be due polls for which there was no room
	open             atomic.Int64 // sign-ins that ring or wait, about
	count            counters
}

// messageRate is how fast one device may send. A sign-in is three messages.
var messageRate = policy.Rate{Burst: 30, Every: 200 * time.Millisecond}

// knockRate is how often one device is told that its key is unknown.
var knockRate = policy.Rate{Burst: 1, Every: 10 * time.Second}

// New returns a bridge that does nothing until Run.
func New(cfg Config) (*Bridge, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	limits, err := cfg.Limits.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	b := &Bridge{
		cfg:         cfg,
		limits:      limits,
		log:         cfg.Logger,
		sealKeys:    make(map[schemas.KeyID]*schemas.SealKey),
		senders:     newSenders(cfg),
		pace:        newGate(messageRate),
		knocks:      newGate(knockRate),
		calls:       make(chan struct{}, limits.Calls),
		polls:       make(chan struct{}, limits.Polls),
		wakePolls:   newBell(),
		wakeAnswers: newBell(),
	}
	for _, k := range cfg.SealKeys {
		b.sealKeys[k.Public().ID()] = k
	}
	b.intake = newLanes(b.receive)
	b.outbox = newLanes(b.publish)
	return b, nil
}

func (c Config) validate() error {
	for _, f := range []struct {
		name    string
		missing bool
	}{
		{"Signer", c.Signer == nil},
		{"SealKeys", len(c.SealKeys) == 0},
		{"Devices", c.Devices == nil},
		{"Provider", c.Provider == nil},
		{"Issuer", c.Issuer == ""},
		{"Store", c.Store == nil},
		{"Publisher", c.Publisher == nil},
	} {
		if f.missing {
			return fmt.Errorf("config: %s is missing", f.name)
		}
	}
	if err := c.Policy.Validate(); err != nil {
		return fmt.Errorf("config: policy: %w", err)
	}
	return nil
}

// Run works until ctx is done, then finishes what is on its way to or from the
// provider, for a few seconds at most, and returns nil. It returns an error if
// the bridge cannot work at all: the store is closed, or there is no signer. It
// is called once.
func (b *Bridge) Run(ctx context.Context) error {
	if !b.started.CompareAndSwap(false, true) {
		return errors.New("bridge: Run was called before")
	}
	// The writer, and what is on its way, outlive ctx.
	lasting := context.WithoutCancel(ctx)
	writerCtx, stopWriter := context.WithCancel(lasting)
	b.work, b.stopWork = context.WithCancel(lasting)
	defer b.stopWork()
	g, ctx := errgroup.WithContext(ctx)
	writer := make(chan struct{})
	g.Go(func() error {
		defer close(writer)
		return b.cfg.Store.Run(writerCtx)
	})
	if err := b.prepare(ctx); err != nil {
		stopWriter()
		return errors.Join(err, g.Wait())
	}
	var loops sync.WaitGroup
	for _, loop := range []func() error{
		func() error { return b.whenDue(ctx, store.Ringing, newBell(), b.interruptDue) },
		func() error { return b.whenDue(ctx, store.Waiting, b.wakePolls, b.pollDue) },
		func() error { return b.whenDue(ctx, store.Answered, b.wakeAnswers, b.publishDue) },
		func() error { return b.keepHouse(ctx) },
		func() error { return b.reseal(ctx) },
	} {
		loops.Add(1)
		g.Go(func() error {
			defer loops.Done()
			return loop()
		})
	}
	g.Go(func() error {
		defer stopWriter()
		b.carry(ctx, &loops, writer)
		return nil
	})
	return g.Wait()
}

// prepare takes up what a dead process has left, and introduces the bridge.
func (b *Bridge) prepare(ctx context.Context) error {
	if err := b.cfg.Store.TakeOver(ctx, time.Now()); err != nil {
		return fmt.Errorf("bridge: taking over: %w", err)
	}
	if err := b.refresh(ctx); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	return nil
}

// carry runs the lanes until ctx is done, and then waits for what is on its way.
func (b *Bridge) carry(ctx context.Context, loops *sync.WaitGroup, writerEnded <-chan struct{}) {
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	var out sync.WaitGroup
	out.Go(func() { b.outbox.run(sending, b.work, true) })
	b.running.Store(true)
	b.intake.run(ctx, ctx, false)
	b.running.Store(false)

	drained := time.AfterFunc(drainTime, b.stopWork)
	defer drained.Stop()
	go func() { // nothing can be recorded any more
		select {
		case <-writerEnded:
			b.stopWork()
		case <-b.work.Done():
		}
	}()
	loops.Wait() // no new polls after this
	b.working.Wait()
	stopSending()
	out.Wait()
}

// step tells a crash test where the bridge is.
func (b *Bridge) step(name string) {
	if b.cfg.failpoint != nil {
		b.cfg.failpoint(name)
	}
}

// jitter returns d to twice d, so that devices do not come back together.
func (b *Bridge) jitter(d time.Duration) time.Duration { return d + rand.N(d) }
