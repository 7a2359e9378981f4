package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/bridge/metrics"
)

// drainTime is how long what is on its way may take after Run's ctx is done.
const drainTime = 10 * time.Second

// Ready returns nil if new requests are taken on, and why not otherwise.
func (b *Bridge) Ready() error {
	switch err := b.ailing.Load(); {
	case b.draining.Load():
		return errors.New("draining: new requests are refused, and what is on its way is finished")
	case !b.running.Load():
		return errors.New("not running")
	case err != nil && *err != nil:
		return fmt.Errorf("housekeeping fails: %w", *err)
	}
	return nil
}

// carry runs the lanes until ctx is done, and then drains.
func (b *Bridge) carry(ctx context.Context, loops *sync.WaitGroup, writerEnded <-chan struct{}) {
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()
	var out sync.WaitGroup
	out.Go(func() { b.outbox.run(sending, b.work, true) })
	go b.bound(ctx, writerEnded)
	b.running.Store(true)
	b.intake.run(ctx, b.work, false)
	b.drain(loops)
	b.running.Store(false)
	stopSending()
	out.Wait()
}

// bound ends what is on its way: some time after ctx is done, or as soon as
// nothing can be recorded any more.
func (b *Bridge) bound(ctx context.Context, writerEnded <-chan struct{}) {
	defer b.stopWork()
	select {
	case <-ctx.Done():
	case <-writerEnded:
		return
	}
	late := time.NewTimer(drainTime)
	defer late.Stop()
	select {
	case <-late.C:
	case <-writerEnded:
	case <-b.work.Done():
	}
}

// drain waits for the calls, polls and renewals that are on their way. Messages still
// arrive: receipts and cancels count, and new sign-ins are told to come back.
// They are taken in by the same lanes, but after a moment in which none of them
// ran, so that nobody who has not seen draining begins another call.
func (b *Bridge) drain(loops *sync.WaitGroup) {
	begun := time.Now()
	b.draining.Store(true)
	b.log.Info("draining", "calls", len(b.calls), "polls", len(b.polls), "renewals", len(b.renewals), "at_most", drainTime)
	listening, stopListening := context.WithCancel(b.work)
	var in sync.WaitGroup
	in.Go(func() { b.intake.run(listening, b.work, true) })
	loops.Wait() // no new polls after this
	b.working.Wait()
	stopListening()
	in.Wait()
	b.log.Info("drained", "took", time.Since(begun).Round(time.Millisecond), "cut_short", b.work.Err() != nil)
}

// takePlace takes one of the places for calls of the provider of one kind.
// Whoever has it puts it back by receiving.
func (b *Bridge) takePlace(places chan struct{}, kind metrics.Shortage) error {
	if b.draining.Load() {
		return shortage{of: metrics.Draining, error: errors.New("the bridge is about to end")}
	}
	select {
	case places <- struct{}{}:
		return nil
	default:
		return shortage{of: kind, error: fmt.Errorf("%d %s at the provider, which is the limit", cap(places), kind)}
	}
}
