package bridge

import (
	"context"
	"slices"
	"time"

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
	b.ended(e, ended)
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
	known, err := b.cfg.Store.Receipt(ctx, k, time.Now())
	if err != nil {
		// The answer comes again, and so does the receipt.
		b.log.Error("recording a receipt", "device", d, "request", m.ID, "error", err)
		return
	}
	if known {
		b.step(stepReceipted)
		b.log.Debug("receipt", "device", d, "request", m.ID)
	}
}

// signOut forgets sessions, and answers which.
func (b *Bridge) signOut(ctx context.Context, d schemas.DeviceID, m *schemas.SignOut) {
	k := store.Key{Device: d, ID: m.ID}
	if r, known, err := b.cfg.Store.Find(ctx, k); err != nil || known {
		if err != nil {
			b.busy(k, err)
		} else {
			b.repeat(r)
		}
		return
	}
	if !b.fresh(d, m.ID, m.IssuedAt) {
		return
	}
	sessions, refusal, err := b.sessionsOf(ctx, d, m)
	if err != nil {
		b.busy(k, err)
		return
	}
	if refusal != nil {
		b.reject(ctx, k, *refusal)
		return
	}
	e, err := b.ending(k, &schemas.Revoked{ID: m.ID, Sessions: sessions, All: m.All}, signedOut, time.Now().Add(refusalLife))
	if err != nil {
		b.log.Error("signing out", "device", d, "request", m.ID, "error", err)
		return
	}
	// Refresh tokens are not kept yet, so there are none to revoke.
	_, done, err := b.cfg.Store.SignOut(ctx, e, sessions)
	if err != nil {
		b.busy(k, err)
		return
	}
	b.ended(e, done, "sessions", len(sessions), "all", m.All)
	if !done {
		b.again(ctx, k)
	}
}

// sessionsOf returns the sessions that a sign-out is about; nil for all.
func (b *Bridge) sessionsOf(ctx context.Context, d schemas.DeviceID, m *schemas.SignOut) ([]schemas.ID, *policy.Refusal, error) {
	now := time.Now()
	open, err := b.cfg.Store.Sessions(ctx, d, now)
	if err != nil {
		return nil, nil, err
	}
	var match func(store.Session) bool
	switch {
	case m.Person != nil:
		p, ok, err := b.cfg.Store.ByHandle(ctx, d, *m.Person)
		if err != nil {
			return nil, nil, err
		}
		match = func(s store.Session) bool { return ok && s.Issuer == p.Issuer && s.Subject == p.Subject }
	case m.All:
		match = func(store.Session) bool { return true }
	default:
		match = func(s store.Session) bool { return slices.Contains(m.Sessions, s.ID) }
	}
	var ids []schemas.ID
	for _, s := range open {
		if match(s) {
			ids = append(ids, s.ID)
		}
	}
	switch {
	case len(ids) == 0:
		return nil, &policy.Refusal{Code: schemas.UnknownSession, Reason: "no session matches"}, nil
	case m.All:
		return nil, nil, nil
	}
	return ids, nil, nil
}

// renew answers that a session cannot be renewed: the bridge keeps no refresh
// tokens.
func (b *Bridge) renew(ctx context.Context, d schemas.DeviceID, m *schemas.Renew) {
	k := store.Key{Device: d, ID: m.ID}
	if r, known, err := b.cfg.Store.Find(ctx, k); err != nil || known {
		if err != nil {
			b.busy(k, err)
		} else {
			b.repeat(r)
		}
		return
	}
	if !b.fresh(d, m.ID, m.IssuedAt) {
		return
	}
	_, ok, err := b.cfg.Store.Session(ctx, store.Key{Device: d, ID: m.Session}, time.Now())
	switch {
	case err != nil:
		b.busy(k, err)
	case !ok:
		b.reject(ctx, k, policy.Refusal{Code: schemas.UnknownSession, Reason: "no such session"})
	default:
		b.reject(ctx, k, policy.Refusal{Code: schemas.Unsupported, Reason: "the session has no refresh token"})
	}
}
