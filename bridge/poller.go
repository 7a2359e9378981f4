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

// pollDue asks the provider about every sign-in whose poll is due, as far as
// there is room. Where there is none, a poll that ends wakes the loop.
func (b *Bridge) pollDue(ctx context.Context) (time.Duration, error) {
	b.starved.Store(true)                      // before looking: a poll that ends from now on wakes the loop
	room := int(b.share.Load()) - len(b.polls) // grows at most: only this loop fills it
	if room <= 0 {                             // less while a bridge has just joined
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

// poll asks once what became of a sign-in, and records it. Where that fails the
// claim runs out, and the row is looked at again.
func (b *Bridge) poll(ctx context.Context, r store.Request) {
	if err := b.ask(ctx, r); err != nil {
		b.log.Error("polling", "device", r.Device, "request", r.ID, "error", err)
	}
}

func (b *Bridge) ask(ctx context.Context, r store.Request) error {
	switch {
	case r.Broken != nil:
		b.log.Error("a stored sign-in cannot be read", "device", r.Device, "request", r.ID, "error", r.Broken)
		return b.conclude(ctx, r, schemas.Internal, 0)
	case r.Details.Issuer != b.cfg.Issuer:
		b.log.Error("a stored sign-in is of another provider", "device", r.Device, "request", r.ID, "issuer", r.Details.Issuer)
		return b.conclude(ctx, r, schemas.Interrupted, 0)
	}
	sent := time.Now()
	if outcome := r.Poll.Ended(sent); outcome.Final() {
		code, retry := pollCode(outcome, nil)
		return b.conclude(ctx, r, code, retry)
	}
	if b.cfg.Delivery == ciba.DeliveryPush {
		b.log.Error("a stored sign-in was to be polled, but the provider is said to push", "device", r.Device, "request", r.ID)
		return b.conclude(ctx, r, schemas.Interrupted, 0)
	}
	if barred, err := b.barred(ctx, r, sent); barred || err != nil {
		return err
	}
	b.step(stepClaimed)
	giveUp := r.Poll.GiveUp(sent)
	// The claim began before it was durable, and nobody else polls until it ends.
	if end := r.Poll.Due.Add(ciba.TokenTimeout - pollLease); end.Before(giveUp) {
		giveUp = end
	}
	callCtx, cancel := context.WithDeadline(ctx, giveUp)
	tokens, err := b.cfg.Provider.RequestToken(callCtx, ciba.TokenRequest{AuthReqID: r.Details.AuthReqID, Expect: expect(r)})
	cancel()
	b.called(ctx, r.Key, metrics.Token, sent, err)
	b.step(stepPolled)
	if err != nil && ctx.Err() != nil {
		return nil // the bridge stops
	}
	next, outcome := r.Poll.After(sent, time.Now(), err)
	return b.decided(ctx, r, next, outcome, tokens, err)
}

// barred ends a sign-in of a device whose certificate was revoked since: what
// the person decides is of no effect.
func (b *Bridge) barred(ctx context.Context, r store.Request, now time.Time) (bool, error) {
	revoked, err := b.senders.wasRevoked(ctx, r.Device, r.Details.Sender, now)
	if err != nil {
		return false, fmt.Errorf("looking for the device's certificate: %w", err)
	}
	if !revoked {
		return false, nil
	}
	return true, b.conclude(ctx, r, schemas.NotAllowed, 0)
}

// expect is what the ID token of a sign-in must say.
func expect(r store.Request) ciba.Expect {
	return ciba.Expect{
		Subject:     r.Details.Subject,
		ACRValues:   r.Details.ACR,
		RequestedAt: time.Unix(r.Details.Asked, 0),
	}
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
		if err := b.finish(ctx, r, e, err, func() (bool, error) { return b.cfg.Store.Interrupt(ctx, e) }); err != nil {
			b.log.Error("interrupting", "device", r.Device, "request", r.ID, "error", err)
		}
	}
	return gather(claimed), nil
}
