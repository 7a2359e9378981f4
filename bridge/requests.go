package bridge

import (
	"context"
	"slices"
	"time"

	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// cancel withdraws a sign-in. CIBA has no way to tell the provider: the phone
// may go on ringing, and an approval is of no effect.
func (b *Bridge) cancel(ctx context.Context, d schemas.DeviceID, m *schemas.Cancel) {
	k := store.Key{Device: d, ID: m.ID}
	r, known, err := b.cfg.Store.Find(ctx, k)
	if err != nil {
		b.busy(k, err)
		return
	}
	if known && r.State != store.Ringing && r.State != store.Waiting {
		b.repeat(r) // the answer that was there first
		return
	}
	e, err := b.refusal(k, schemas.Cancelled, 0)
	if err != nil {
		b.log.Error("cancelling a request", "device", d, "request", m.ID, "error", err)
		return
	}
	ended, err := b.cfg.Store.Withdraw(ctx, e)
	if err != nil {
		b.busy(k, err)
		return
	}
	if ended && known {
		b.open.Add(-1)
	}
	b.ended(signInOf(r), e, ended)
	if !ended {
		b.again(ctx, k)
	}
}

// again answers with what another has stored meanwhile.
func (b *Bridge) again(ctx context.Context, k store.Key) {
	if r, known, err := b.cfg.Store.Find(ctx, k); err == nil && known {
		b.repeat(r)
	}
}

// receipt ends the publication of an answer, which is then forgotten.
func (b *Bridge) receipt(ctx context.Context, d schemas.DeviceID, m *schemas.Receipt) {
	k := store.Key{Device: d, ID: m.ID}
	arrived := time.Now()
	granted, known, err := b.cfg.Store.Receipt(ctx, k, arrived)
	if err != nil {
		// The answer comes again, and so does the receipt.
		b.log.Error("recording a receipt", "device", d, "request", m.ID, "error", err)
		return
	}
	if known {
		b.step(stepReceipted)
		b.stage(k, metrics.Receipt, arrived)
		if !granted.IsZero() {
			b.cfg.Metrics.Receipted(time.Since(granted))
		}
		b.log.Debug("receipt", "device", d, "request", m.ID)
	}
}

// signOut forgets sessions, and answers which.
func (b *Bridge) signOut(ctx context.Context, d schemas.DeviceID, m *schemas.SignOut) {
	k := store.Key{Device: d, ID: m.ID}
	if !b.isNew(ctx, k, m.IssuedAt) {
		return
	}
	sessions, refusal, err := b.sessionsOf(ctx, d, m)
	if err != nil {
		b.busy(k, err)
		return
	}
	if refusal != nil {
		b.reject(ctx, k, metrics.SignOut, *refusal)
		return
	}
	e, err := b.ending(k, &schemas.Revoked{ID: m.ID, Sessions: sessions, All: m.All}, metrics.SignedOut, time.Now().Add(refusalLife))
	if err != nil {
		b.log.Error("signing out", "device", d, "request", m.ID, "error", err)
		return
	}
	done, err := b.cfg.Store.SignOut(ctx, e, sessions)
	if err != nil {
		b.busy(k, err)
		return
	}
	b.wakeRevocations.wake()
	if m.All {
		b.ended(asked{what: metrics.SignOut}, e, done, "sessions", "all")
	} else {
		b.ended(asked{what: metrics.SignOut}, e, done, "sessions", len(sessions))
	}
	if !done {
		b.again(ctx, k)
	}
}

// sessionsOf returns the sessions that a sign-out is about; nil for all. Those
// that a device names count as ended whether the bridge has them or not.
func (b *Bridge) sessionsOf(ctx context.Context, d schemas.DeviceID, m *schemas.SignOut) ([]schemas.ID, *policy.Refusal, error) {
	if m.Person == nil {
		return slices.Clone(m.Sessions), nil, nil
	}
	p, ok, err := b.cfg.Store.ByHandle(ctx, d, *m.Person)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, &policy.Refusal{Code: schemas.UnknownPerson, Reason: "no such handle on this device"}, nil
	}
	open, err := b.cfg.Store.Sessions(ctx, d, p.Issuer, p.Subject, time.Now())
	if err == nil && len(open) == 0 {
		return nil, &policy.Refusal{Code: schemas.UnknownSession, Reason: "the person has no session"}, nil
	}
	return open, nil, err
}
