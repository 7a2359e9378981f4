package bridge

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/store"
)

// notificationTokens makes the tokens with which the provider proves itself. All
// bridges of a store make the same.
func notificationTokens(cfg Config) (*ciba.NotificationTokens, error) {
	if cfg.Delivery != ciba.DeliveryPing && cfg.Delivery != ciba.DeliveryPush {
		return nil, nil
	}
	key, err := cfg.Store.DeriveKey("notification tokens")
	if err != nil {
		return nil, err
	}
	return ciba.NewNotificationTokens(key)
}

// Notifications returns what a [ciba.NotificationHandler] needs to take in what
// the provider reports; the caller adds Client, and VerifyPeer if there is
// something to verify. The handler of any bridge serves the sign-ins of all that
// share its store. It works while Run does.
//
// The provider learns an alias of each sign-in, and neither its id nor the
// device.
func (b *Bridge) Notifications() ciba.NotificationConfig {
	return ciba.NotificationConfig{
		Tokens: b.tokens,
		SignIn: b.notified,
		Pinged: b.pinged,
		Pushed: b.pushed,
		Logger: b.log,
	}
}

// notified says what is known of a sign-in.
func (b *Bridge) notified(ctx context.Context, alias string) (ciba.SignIn, error) {
	k, err := b.cfg.Store.Unalias(alias)
	if err != nil { // we have made it, under a key that has gone since
		b.log.Warn("a notification cannot be understood", "error", err)
		return ciba.SignIn{}, ciba.ErrUnknownSignIn
	}
	r, known, err := b.cfg.Store.Find(ctx, k)
	switch {
	case err != nil:
		return ciba.SignIn{}, err
	case !known:
		return ciba.SignIn{}, ciba.ErrUnknownSignIn
	case r.State == store.Answered || r.State == store.Done:
		return ciba.SignIn{Ended: true}, nil
	case r.Broken != nil:
		return ciba.SignIn{}, r.Broken
	case r.Details.Issuer != b.cfg.Issuer: // who was told the token
		return ciba.SignIn{}, ciba.ErrUnknownSignIn
	}
	return ciba.SignIn{AuthReqID: r.Details.AuthReqID, Expect: expect(r)}, nil
}

// pinged has the provider asked about a sign-in at once, the first time.
func (b *Bridge) pinged(ctx context.Context, alias string) error {
	k, err := b.cfg.Store.Unalias(alias)
	if err != nil {
		return err
	}
	arrived := time.Now()
	first, err := b.cfg.Store.Pinged(ctx, k, arrived)
	if err != nil || !first {
		return err
	}
	b.reported(k, metrics.Ping, arrived)
	b.step(stepPinged)
	b.wakePolls.wake()
	return nil
}

// pushed ends a sign-in with what the provider has pushed, just as if a poll had
// brought it. Until that is durable the provider is not told that it was taken.
func (b *Bridge) pushed(ctx context.Context, alias string, tokens *ciba.Tokens, cause error) error {
	k, err := b.cfg.Store.Unalias(alias)
	if err != nil {
		return err
	}
	r, _, err := b.cfg.Store.Find(ctx, k)
	if err == nil && r.State == store.Waiting {
		err = b.takePush(ctx, r, tokens, cause)
	}
	if err != nil {
		return fmt.Errorf("request %s of device %s: %w", k.ID, b.cfg.Store.Pseudonym(k.Device), err)
	}
	return nil
}

func (b *Bridge) takePush(ctx context.Context, r store.Request, tokens *ciba.Tokens, cause error) error {
	now := time.Now()
	b.reported(r.Key, metrics.Push, now)
	b.step(stepPushed)
	if barred, err := b.barred(ctx, r, now); barred || err != nil {
		return err
	}
	next, outcome := r.Poll.After(now, now, cause)
	return b.decided(ctx, r, next, outcome, tokens, cause)
}
