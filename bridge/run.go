package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/bridge/trace"
	"github.com/carillon-iot/carillon/schemas"
)

// A Bridge serves the devices of one broker with one provider. Several may share
// a store.
type Bridge struct {
	cfg     Config
	limits  Limits
	log     *slog.Logger
	traces  *trace.Tracer // nil for none
	sealing atomic.Pointer[sealing]

	senders  *senders
	greeting greeting
	tokens   *ciba.NotificationTokens // nil with DeliveryPoll
	pace     *gate                    // of messages
	knocks   *gate                    // of answers to unknown keys

	intake *lanes[message]
	outbox *lanes[message]

	calls    chan struct{} // a token for each authentication request at the provider
	polls    chan struct{} // a token for each poll; only the poll loop adds, up to share
	renewals chan struct{} // a token for each refresh request at the provider

	wakePolls       bell
	wakeAnswers     bell
	wakeHouse       bell
	wakeRevocations bell

	work     context.Context // of calls and polls: outlives Run's ctx by drainTime; set by Run
	stopWork context.CancelFunc
	working  sync.WaitGroup // calls and polls

	patrolled schemas.DeviceID // the last device that was looked at for its revocation; owned by keepHouse

	started, running atomic.Bool
	draining         atomic.Bool           // takes on nothing new; is set while no lane of intake runs
	ailing           atomic.Pointer[error] // what the last housekeeping has come to; nil before the first
	starved          atomic.Bool           // there may be due polls for which there was no room
	open             atomic.Int64          // sign-ins that ring or wait, about
	share            atomic.Int64          // of Limits.Polls, that this bridge may use
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
		cfg:      cfg,
		limits:   limits,
		log:      slog.New(veil{cfg.Logger.Handler(), cfg.Store.Pseudonym}),
		senders:  newSenders(cfg),
		pace:     newGate(messageRate),
		knocks:   newGate(knockRate),
		calls:    make(chan struct{}, limits.Calls),
		polls:    make(chan struct{}, limits.Polls),
		renewals: make(chan struct{}, limits.Renewals),

		wakePolls:       newBell(),
		wakeAnswers:     newBell(),
		wakeHouse:       newBell(),
		wakeRevocations: newBell(),
	}
	if b.tokens, err = notificationTokens(cfg); err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	if b.traces, err = trace.New(cfg.Traces, cfg.Store); err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	b.sealing.Store(newSealing(cfg.SealKeys))
	b.share.Store(int64(limits.Polls))
	b.intake = newLanes(b.receive)
	b.outbox = newLanes(b.publish)
	b.watch()
	return b, nil
}

// Run works until ctx is done, then drains: for ten seconds at most it lets what
// is on its way to or from the provider come back and records it, while new
// sign-ins are refused as busy; and returns nil. It returns an error if
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
		if ctx.Err() != nil {
			err = nil // told to end before it had begun
		}
		stopWriter()
		return errors.Join(err, g.Wait())
	}
	var loops sync.WaitGroup
	for _, loop := range []func() error{
		func() error {
			return b.whenDue(ctx, "interrupting", b.inState(store.Ringing), newBell(), b.interruptDue)
		},
		func() error { return b.whenDue(ctx, "polling", b.nextPoll, b.wakePolls, b.pollDue) },
		func() error { return b.whenDue(ctx, "renewing", b.inState(store.Renewing), newBell(), b.forsakeDue) },
		func() error {
			return b.whenDue(ctx, "publishing", b.inState(store.Answered), b.wakeAnswers, b.publishDue)
		},
		func() error {
			return b.whenDue(ctx, "revoking", b.cfg.Store.NextRevocation, b.wakeRevocations, b.revokeDue)
		},
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
	if err := b.tidy(ctx); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	return nil
}

// step tells a crash test where the bridge is.
func (b *Bridge) step(name string) {
	if b.cfg.failpoint != nil {
		b.cfg.failpoint(name)
	}
}

// jitter returns d to twice d, so that devices do not come back together.
func (b *Bridge) jitter(d time.Duration) time.Duration { return d + rand.N(d) }
