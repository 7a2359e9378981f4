package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/store"
)

// giveUp leaves a refresh token to be revoked that never came to a session.
func (b *Bridge) giveUp(ctx context.Context, s store.Session, token string) {
	if err := b.cfg.Store.Revoke(ctx, s.Key, s.Issuer, token, time.Now()); err != nil {
		b.log.Error("a refresh token that nobody uses is not revoked", "device", s.Device, "session", s.ID, "error", err)
		return
	}
	b.wakeRevocations.wake()
}

// revokeDue tells the provider which refresh tokens to forget (RFC 7009). They
// are in the store until it has answered: to revoke one twice does no harm.
func (b *Bridge) revokeDue(ctx context.Context) (time.Duration, error) {
	claimed, err := b.cfg.Store.ClaimRevocations(ctx, time.Now(), revokeBatch)
	if err != nil {
		return 0, fmt.Errorf("claiming revocations: %w", err)
	}
	var calls sync.WaitGroup
	for _, r := range claimed {
		calls.Go(func() { b.revokeToken(b.work, r) })
	}
	calls.Wait()
	if len(claimed) == revokeBatch {
		return 0, nil
	}
	return pollBeat, nil
}

func (b *Bridge) revokeToken(ctx context.Context, r store.Revocation) {
	ended, err := b.tryToRevoke(ctx, r)
	if err != nil && ctx.Err() != nil {
		return // the bridge stops; the claim runs out
	}
	log := b.log.With("device", r.Session.Device, "session", r.Session.ID)
	switch {
	case err == nil:
		log.Debug("a refresh token is revoked")
	case ended:
		log.Warn("a refresh token is not revoked", "error", err)
	default:
		log.Debug("a refresh token is not revoked yet", "error", err)
		return
	}
	if err := b.cfg.Store.Revoked(ctx, r); err != nil && !isClosed(err) {
		log.Error("recording a revocation", "error", err)
	}
}

// tryToRevoke reports whether another try is of no use.
func (b *Bridge) tryToRevoke(ctx context.Context, r store.Revocation) (ended bool, err error) {
	switch {
	case r.Broken != nil:
		return true, r.Broken
	case b.cfg.Renewer == nil || r.Issuer != b.cfg.Issuer:
		return true, errors.New("it is of a provider that this bridge does not know any more")
	}
	callCtx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	sent := time.Now()
	err = b.cfg.Renewer.Revoke(callCtx, r.Token, ciba.HintRefreshToken)
	b.called(ctx, store.Key{}, metrics.Revoke, sent, err)
	passing := errors.Is(err, ciba.ErrUnavailable) || errors.Is(err, ciba.ErrInterrupted) || errors.Is(err, ciba.ErrInvalidClient)
	return !passing || r.Last, err
}

// patrol ends the sessions of devices that were revoked and do not speak any
// more. It looks at some of those that could renew one, and goes on with the
// others the next time.
func (b *Bridge) patrol(ctx context.Context) error {
	if b.cfg.Revoked == nil {
		return nil
	}
	devices, err := b.cfg.Store.Renewing(ctx, b.patrolled, patrolBatch)
	if err != nil {
		return fmt.Errorf("looking for revoked devices: %w", err)
	}
	b.patrolled = ""
	if len(devices) == patrolBatch {
		b.patrolled = devices[patrolBatch-1].ID
	}
	for _, d := range devices {
		if !b.cfg.Revoked(d.Leaf) {
			continue
		}
		n, err := b.cfg.Store.EndSessions(ctx, d.ID, time.Now())
		if err != nil {
			return fmt.Errorf("ending the sessions of a revoked device: %w", err)
		}
		b.log.Info("the device was revoked: its sessions are over", "device", d.ID, "sessions", n)
		b.wakeRevocations.wake()
	}
	return nil
}
