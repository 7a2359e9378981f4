package bridge

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// decided records what a poll, or a push of the provider, has brought.
func (b *Bridge) decided(ctx context.Context, r store.Request, next ciba.Poll, outcome ciba.Outcome, tokens *ciba.Tokens, err error) error {
	if outcome == ciba.OutcomePending {
		if next.Failures > 0 {
			b.log.Log(ctx, severity(err), "a poll failed", "device", r.Device, "request", r.ID, "failures", next.Failures, "error", err)
		}
		return b.polled(ctx, r, next)
	}
	b.waited(r, outcome)
	defer b.stage(r.Key, metrics.Answer, time.Now())
	switch outcome {
	case ciba.OutcomeGranted:
		return b.grant(ctx, r, tokens)
	case ciba.OutcomeDenied:
		return b.deny(ctx, r)
	default:
		code, retry := pollCode(outcome, err)
		if err != nil {
			b.complain(r.Key, code, err)
		}
		return b.conclude(ctx, r, code, retry)
	}
}

// polled records a poll that has brought nothing. If that fails the poll is
// repeated later.
func (b *Bridge) polled(ctx context.Context, r store.Request, next ciba.Poll) error {
	if _, err := b.cfg.Store.Polled(ctx, r, next, time.Now()); err != nil && !isClosed(err) {
		return fmt.Errorf("recording a poll: %w", err)
	}
	// A ping may have come meanwhile.
	if next.Fallback > 0 || time.Until(next.Due) < pollBeat {
		b.wakePolls.wake()
	}
	return nil
}

// conclude ends a sign-in that waits, with a refusal.
func (b *Bridge) conclude(ctx context.Context, r store.Request, code schemas.Code, retry time.Duration) error {
	e, err := b.refusal(r.Key, code, retry)
	return b.finish(ctx, r, e, err, func() (bool, error) { return b.cfg.Store.Refuse(ctx, e) })
}

// deny ends a sign-in because the person said no. The next may come after a
// pause, which doubles each time.
func (b *Bridge) deny(ctx context.Context, r store.Request) error {
	denials, err := b.cfg.Store.Denials(ctx, r.Device, r.Person)
	if err != nil {
		b.log.Error("counting denials", "device", r.Device, "request", r.ID, "error", err)
	}
	e, err := b.refusal(r.Key, schemas.AccessDenied, b.cfg.Policy.CoolDown.After(denials+1))
	return b.finish(ctx, r, e, err, func() (bool, error) {
		return b.cfg.Store.Deny(ctx, e, r.Person, b.cfg.Policy.CoolDown)
	})
}

// finish makes an ending durable, whatever it takes, and publishes it.
func (b *Bridge) finish(ctx context.Context, r store.Request, e store.Ending, err error, write func() (bool, error)) error {
	var stored bool
	if err == nil {
		stored, err = b.persist(ctx, r.Deadline.Add(refusalLife), write)
	}
	if err != nil {
		return fmt.Errorf("ending a sign-in: %w", err)
	}
	if stored {
		b.open.Add(-1)
	}
	b.ended(signInOf(r), e, stored)
	return nil
}
