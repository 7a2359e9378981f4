package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/store"
)

// How long things may take, and how long a claim on a row holds. A claim
// outlasts what is done under it, so two bridges never do the same at once.
const (
	// callTimeout bounds an authentication request. Providers answer it before
	// anybody looks at the phone.
	callTimeout = 20 * time.Second
	ringLease   = callTimeout + 25*time.Second // recording the answer included
	// pollLease outlasts a poll, which includes the 30 s for which a provider may
	// hold a token request (CIBA Core section 7.3).
	pollLease = ciba.TokenTimeout + 5*time.Second

	// renewTimeout is for a provider that answers slowly: to give up would end the
	// session.
	renewTimeout = ciba.TokenTimeout
	renewLease   = renewTimeout + 25*time.Second // recording the answer included

	revokeTimeout = 20 * time.Second
	revokeBatch   = 16
	patrolBatch   = 1000

	publishTimeout = 10 * time.Second
	busyRetry      = 5 * time.Second

	claimBatch = 256
	sweepBatch = 1000

	// beat is how often the loops look for work that another bridge has left;
	// pollBeat is the least pause between two claims, so that rows gather.
	beat     = time.Second
	pollBeat = 5 * time.Millisecond
	// housekeeping is how often what is over is deleted.
	housekeeping = 10 * time.Second
)

// A bell wakes one sleeping loop.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (w bell) wake() {
	select {
	case w <- struct{}{}:
	default: // it is awake already
	}
}

// whenDue does work whenever something is due, until ctx is done. Work says how
// long to pause after it, if nothing wakes the loop before. A store that fails is no
// end: the loop tries again in a while.
func (b *Bridge) whenDue(ctx context.Context, what string, due func(context.Context) (time.Time, error), wake bell, work func(context.Context) (time.Duration, error)) error {
	failing := false
	for ctx.Err() == nil {
		next, err := due(ctx)
		wait := beat
		if !next.IsZero() {
			wait = min(max(time.Until(next), 0), beat)
		}
		if err == nil && wait == 0 && !next.IsZero() {
			wait, err = work(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case isClosed(err):
			return err
		case err != nil && !failing:
			b.log.Error("the store fails", "work", what, "error", err)
		case err == nil && failing:
			b.log.Info("the store works again", "work", what)
		}
		if failing = err != nil; failing {
			wait = beat
		}
		select {
		case <-time.After(wait):
		case <-wake:
		case <-ctx.Done():
		}
	}
	return nil
}

// inState returns when the first request in a state is due.
func (b *Bridge) inState(state store.State) func(context.Context) (time.Time, error) {
	return func(ctx context.Context) (time.Time, error) { return b.cfg.Store.NextDue(ctx, state) }
}

// nextPoll returns when the first poll is due.
func (b *Bridge) nextPoll(ctx context.Context) (time.Time, error) {
	next, err := b.cfg.Store.NextDue(ctx, store.Waiting)
	if late := time.Since(next); !next.IsZero() && late >= 0 {
		b.cfg.Metrics.PollLate(late)
	}
	return next, err
}

// publishDue publishes again the answers that have got no receipt.
func (b *Bridge) publishDue(ctx context.Context) (time.Duration, error) {
	now := time.Now()
	claimed, err := b.cfg.Store.ClaimAnswers(ctx, now, claimBatch)
	if err != nil {
		return 0, fmt.Errorf("claiming answers: %w", err)
	}
	for _, r := range claimed {
		b.cfg.Metrics.Republished()
		b.answer(r.Key, r.Answer)
	}
	if len(claimed) == 0 { // what is due is past its end
		_, err = b.cfg.Store.Sweep(ctx, now, sweepBatch)
	}
	return gather(claimed), err
}

// gather is the pause after a claim: none if there may be more, else a moment in
// which rows gather.
func gather(claimed []store.Request) time.Duration {
	if len(claimed) == claimBatch {
		return 0
	}
	return pollBeat
}

// keepHouse deletes what is over and looks at what changes slowly.
func (b *Bridge) keepHouse(ctx context.Context) error {
	for {
		select {
		case <-time.After(housekeeping):
		case <-b.wakeHouse:
		case <-ctx.Done():
			return nil
		}
		err := errors.Join(b.tidy(ctx), b.patrol(ctx))
		if ctx.Err() != nil {
			return nil
		}
		if isClosed(err) {
			return err
		}
		if err != nil {
			b.log.Error("housekeeping", "error", err)
		}
		b.ailing.Store(&err)
	}
}

// reseal takes up a new key for what is stored for long, and ends.
func (b *Bridge) reseal(ctx context.Context) error {
	total := 0
	for ctx.Err() == nil {
		n, err := b.cfg.Store.Reseal(ctx, claimBatch)
		if err != nil {
			if ctx.Err() == nil {
				b.log.Error("encrypting under the first key", "error", err)
			}
			return nil
		}
		if total += n; n == 0 {
			break
		}
	}
	if total > 0 {
		b.log.Info("stored secrets are now encrypted under the first key", "count", total)
	}
	return nil
}

// tidy brings up to date what the bridge knows of the store.
func (b *Bridge) tidy(ctx context.Context) error {
	var swept error
	for n := int64(sweepBatch); n >= sweepBatch && swept == nil; {
		n, swept = b.cfg.Store.Sweep(ctx, time.Now(), sweepBatch)
	}
	n, err := b.cfg.Store.Count(ctx)
	if err == nil {
		b.open.Store(int64(n[store.Ringing] + n[store.Waiting]))
		for _, state := range []store.State{store.Ringing, store.Waiting, store.Renewing, store.Answered} {
			b.cfg.Metrics.Open(string(state), n[state])
		}
	}
	return errors.Join(swept, err, b.refreshGreeting(ctx))
}
