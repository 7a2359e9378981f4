package bridge

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// pollDue asks the provider about every sign-in whose poll is due, as far as
// there is room. Where there is none, a poll that ends wakes the loop.
func (b *Bridge) pollDue(ctx context.Context) (time.Duration, error) {
	b.starved.Store(true)               // before looking: a poll that ends from now on wakes the loop
	room := cap(b.polls) - len(b.polls) // grows at most: only this loop fills it
	if room == 0 {
		return beat, nil
	}
	now := time.Now()
	claimed, err := b.cfg.Store.ClaimPolls(ctx, now, now.Add(pollLease), room)
	if err != nil {
		return 0, fmt.Errorf("claiming polls: %w", err)
	}
	b.starved.Store(len(claimed) == room)
	for _, r := range claimed {
		b.polls <- struct{}{}
		b.working.Go(func() {
			b.poll(b.work, r)
			<-b.polls
			if b.starved.Load() {
				b.wakePolls.wake()
			}
		})
	}
	if len(claimed) == room {
		return beat, nil
	}
	return pollBeat, nil
}

// poll asks once what became of a sign-in, and records it.
func (b *Bridge) poll(ctx context.Context, r store.Request) {
	switch {
	case r.Broken != nil:
		b.log.Error("a stored sign-in cannot be read", "device", r.Device, "request", r.ID, "error", r.Broken)
		b.conclude(ctx, r, schemas.Internal, 0)
		return
	case r.Details.Issuer != b.cfg.Issuer:
		b.log.Error("a stored sign-in is of another provider", "device", r.Device, "request", r.ID, "issuer", r.Details.Issuer)
		b.conclude(ctx, r, schemas.Interrupted, 0)
		return
	}
	sent := time.Now()
	if outcome := r.Poll.Ended(sent); outcome.Final() {
		code, retry := pollCode(outcome, nil)
		b.conclude(ctx, r, code, retry)
		return
	}
	switch revoked, err := b.senders.wasRevoked(ctx, r.Device, r.Details.Sender, sent); {
	case err != nil:
		b.log.Error("looking for a device's certificate", "device", r.Device, "error", err)
		return // the claim runs out, and the row is looked at again
	case revoked: // what the person decides is of no effect
		b.conclude(ctx, r, schemas.NotAllowed, 0)
		return
	}
	b.step(stepClaimed)
	callCtx, cancel := context.WithTimeout(ctx, pollTimeout)
	b.count.polls.Add(1)
	tokens, err := b.cfg.Provider.RequestToken(callCtx, tokenRequest(r))
	cancel()
	b.step(stepPolled)
	if err != nil && ctx.Err() != nil {
		return // the bridge stops; the claim runs out
	}
	next, outcome := r.Poll.After(sent, time.Now(), err)
	b.polled(ctx, r, next, outcome, tokens, err)
}

func tokenRequest(r store.Request) ciba.TokenRequest {
	return ciba.TokenRequest{
		AuthReqID: r.Details.AuthReqID,
		Expect: ciba.Expect{
			Subject:     r.Details.Subject,
			ACRValues:   r.Details.ACR,
			RequestedAt: time.Unix(r.Details.Asked, 0),
		},
	}
}

// polled records the outcome of a poll.
func (b *Bridge) polled(ctx context.Context, r store.Request, next ciba.Poll, outcome ciba.Outcome, tokens *ciba.Tokens, err error) {
	switch outcome {
	case ciba.OutcomePending:
		if next.Failures > 0 {
			b.log.Warn("a poll failed", "device", r.Device, "request", r.ID, "failures", next.Failures, "error", loggable(err))
		}
		// If this is lost, the claim runs out and the poll is repeated later.
		if _, err := b.cfg.Store.Polled(ctx, r, next, time.Now()); err != nil && !isClosed(err) {
			b.log.Error("recording a poll", "error", err)
		}
		if time.Until(next.Due) < pollBeat {
			b.wakePolls.wake()
		}
	case ciba.OutcomeGranted:
		b.grant(ctx, r, tokens)
	case ciba.OutcomeDenied:
		b.deny(ctx, r)
	default:
		code, retry := pollCode(outcome, err)
		if err != nil {
			b.complain(r.Key, code, err)
		}
		b.conclude(ctx, r, code, retry)
	}
}

// conclude ends a sign-in that waits, with a refusal.
func (b *Bridge) conclude(ctx context.Context, r store.Request, code schemas.Code, retry time.Duration) {
	e, err := b.refusal(r.Key, code, retry)
	b.finish(ctx, r, e, err, func() (bool, error) { return b.cfg.Store.Refuse(ctx, e) })
}

// deny ends a sign-in because the person said no. The next may come after a
// pause, which doubles each time.
func (b *Bridge) deny(ctx context.Context, r store.Request) {
	denials, err := b.cfg.Store.Denials(ctx, r.Device, r.Person)
	if err != nil {
		b.log.Error("counting denials", "device", r.Device, "request", r.ID, "error", err)
	}
	e, err := b.refusal(r.Key, schemas.AccessDenied, b.cfg.Policy.CoolDown.After(denials+1))
	b.finish(ctx, r, e, err, func() (bool, error) {
		return b.cfg.Store.Deny(ctx, e, r.Person, b.cfg.Policy.CoolDown)
	})
}

// finish makes an ending durable, whatever it takes, and publishes it.
func (b *Bridge) finish(ctx context.Context, r store.Request, e store.Ending, err error, write func() (bool, error)) {
	var stored bool
	if err == nil {
		stored, err = b.persist(ctx, r.Deadline.Add(refusalLife), write)
	}
	if err != nil {
		b.log.Error("ending a sign-in", "device", r.Device, "request", r.ID, "error", err)
		return // the claim runs out, and the row is looked at again
	}
	if stored {
		b.open.Add(-1)
	}
	b.ended(e, stored)
}

// interruptDue ends the sign-ins of which nobody knows whether the phone rang.
func (b *Bridge) interruptDue(ctx context.Context) (time.Duration, error) {
	now := time.Now()
	claimed, err := b.cfg.Store.ClaimRinging(ctx, now, now.Add(ringLease), claimBatch)
	if err != nil {
		return 0, fmt.Errorf("claiming interrupted sign-ins: %w", err)
	}
	for _, r := range claimed {
		e, err := b.refusal(r.Key, schemas.Interrupted, 0)
		b.finish(ctx, r, e, err, func() (bool, error) { return b.cfg.Store.Interrupt(ctx, e) })
	}
	return gather(claimed), nil
}
