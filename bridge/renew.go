package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// A Renewer keeps people signed in without ringing them. *ciba.Client is one.
type Renewer interface {
	// Refresh spends a refresh token.
	Refresh(context.Context, ciba.RefreshRequest) (*ciba.Tokens, error)
	// Revoke makes the provider forget one.
	Revoke(ctx context.Context, token string, hint ciba.TokenTypeHint) error
}

// A renewal is a renew request on its way to the provider.
type renewal struct {
	store.RenewalStart
	responseKey schemas.PublicKey
	sender      schemas.KeyID // of the device's certificate
	failed      bool          // the provider could not answer the last time
}

// renew answers a repeated request with its state and begins a new one. From is
// the certificate that has signed it.
func (b *Bridge) renew(ctx context.Context, d schemas.DeviceID, from schemas.KeyID, m *schemas.Renew) {
	k := store.Key{Device: d, ID: m.ID}
	if !b.isNew(ctx, k, m.IssuedAt) {
		return
	}
	if m.ConfirmKey != nil {
		b.reject(ctx, k, metrics.Renewal, policy.Refusal{Code: schemas.Unsupported, Reason: "a token bound to a key was asked for"})
		return
	}
	now := time.Now()
	s, refusal, err := b.renewable(ctx, store.Key{Device: d, ID: m.Session}, now)
	switch {
	case err != nil:
		b.busy(k, err)
	case refusal != nil:
		b.reject(ctx, k, metrics.Renewal, *refusal)
	default:
		b.beginRenewal(ctx, renewal{
			RenewalStart: store.RenewalStart{
				Key: k, Session: s, Provider: b.cfg.Issuer, Now: now, Due: now.Add(renewLease), Deadline: now.Add(renewTimeout),
				Renewing: b.limits.Renewals,
				Quotas: []store.Quota{
					{Name: "renewals of device " + string(d), Rate: b.cfg.Policy.PerDevice},
					{Name: "renewals at provider " + b.cfg.Issuer, Rate: b.cfg.Policy.Renewals},
				},
			},
			responseKey: m.ResponseKey,
			sender:      from,
		})
	}
}

// renewable returns a session that may be renewed now, or says why not.
func (b *Bridge) renewable(ctx context.Context, k store.Key, now time.Time) (store.Session, *policy.Refusal, error) {
	s, ok, err := b.cfg.Store.Session(ctx, k, now)
	if errors.Is(err, store.ErrUnreadable) { // to the device as good as gone
		b.log.Error("a stored session cannot be read", "device", k.Device, "session", k.ID, "error", err)
		ok, err = false, nil
	}
	if err != nil {
		return s, nil, err
	}
	gone := func(why string) (store.Session, *policy.Refusal, error) {
		return s, &policy.Refusal{Code: schemas.UnknownSession, Reason: why}, nil
	}
	switch {
	case !ok:
		return gone("no such session")
	case s.Renewal == nil:
		return gone("the session has no refresh token")
	case b.cfg.Policy.SessionLife[s.Renewal.Kind] == 0:
		return gone("sessions of this kind of device are not renewed any more")
	case !now.Before(s.RenewUntil):
		return gone("the session has lasted long enough")
	case s.Issuer != b.cfg.Issuer:
		return gone("the session is of another provider")
	}
	return s, b.cfg.Policy.Check(policy.Ask{Kind: s.Renewal.Kind, Scope: s.Renewal.Scope}), nil
}

// beginRenewal makes the renewal durable, if there is room and nothing else
// renews the session, and has it sent.
func (b *Bridge) beginRenewal(ctx context.Context, r renewal) {
	if err := b.takePlace(b.renewals, metrics.Renewals); err != nil {
		b.busy(r.Key, err)
		return
	}
	b.step(stepAccepted)
	begun, err := b.cfg.Store.BeginRenewal(ctx, r.RenewalStart)
	if err == nil && begun.Verdict == store.Started {
		r.failed = begun.Failed
		b.working.Go(func() {
			defer func() { <-b.renewals }()
			b.refresh(b.work, r)
		})
		return
	}
	<-b.renewals
	b.notRenewed(ctx, r.Key, begun, err)
}

// notRenewed answers a request that BeginRenewal has refused.
func (b *Bridge) notRenewed(ctx context.Context, k store.Key, begun store.Begun, err error) {
	switch {
	case err != nil:
		b.busy(k, err)
	case begun.Verdict == store.Known: // by another bridge, since we looked
	case begun.Verdict == store.TooMany:
		b.busy(k, shortage{of: metrics.DeviceLimit, error: fmt.Errorf("the device has %d requests", store.MaxPerDevice)})
	case begun.Verdict == store.ProviderBusy:
		b.busy(k, shortage{of: metrics.Renewals, wait: begun.Wait, error: errors.New("as many renewals are at the provider as may be, of all bridges together")})
	case begun.Verdict == store.ProviderDown:
		b.busy(k, shortage{of: metrics.Provider, wait: begun.Wait, error: errors.New("the provider does not answer")})
	case begun.Verdict == store.SessionBusy:
		b.busy(k, shortage{of: metrics.SessionBusy, error: errors.New("another request renews the session, or has just changed it")})
	default:
		b.reject(ctx, k, metrics.Renewal, policy.Refusal{Code: schemas.TooManyRequests, RetryAfter: begun.Wait, Reason: "a quota of renewals is spent"})
	}
}

// refresh spends the session's refresh token, once, and records what came of it.
func (b *Bridge) refresh(ctx context.Context, r renewal) {
	b.step(stepRenewing)
	callCtx, cancel := context.WithTimeout(ctx, renewTimeout)
	sent := time.Now()
	tokens, err := b.cfg.Renewer.Refresh(callCtx, ciba.RefreshRequest{
		RefreshToken: r.Session.Renewal.Refresh,
		Expect:       ciba.Expect{Subject: r.Session.Subject},
	})
	cancel()
	b.called(ctx, r.Key, metrics.Refresh, sent, err)
	b.step(stepRefreshed)
	b.judge(ctx, err, r.failed)
	if err == nil {
		b.regrant(ctx, r, tokens)
		return
	}
	if ctx.Err() != nil {
		return // the bridge stops; the row ends as interrupted
	}
	code, retry := renewCode(err)
	b.complain(r.Key, code, err)
	if retry > 0 {
		b.endRenewal(ctx, r.Key, r.Now, code, retry, b.cfg.Store.RenewalPutOff)
		return
	}
	b.endRenewal(ctx, r.Key, r.Now, code, 0, b.cfg.Store.RenewalFailed)
}

// regrant seals new tokens to the device and ends the renewal. Until that is
// durable, the tokens exist in this function only: a crash loses them, and the
// session ends.
func (b *Bridge) regrant(ctx context.Context, r renewal, tokens *ciba.Tokens) {
	refused := func(code schemas.Code, why error) {
		b.complain(r.Key, code, why)
		b.endRenewal(ctx, r.Key, r.Now, code, 0, b.cfg.Store.RenewalFailed)
		b.giveUp(ctx, r.Session, tokens.RefreshToken)
	}
	switch revoked, err := b.senders.wasRevoked(ctx, r.Device, r.sender, time.Now()); {
	case err != nil:
		b.log.Error("looking for a device's certificate", "device", r.Device, "error", err)
		refused(schemas.Internal, err)
		return
	case revoked:
		refused(schemas.NotAllowed, errors.New("the device was revoked meanwhile"))
		return
	}
	next := *r.Session.Renewal
	next.Refresh = tokens.RefreshToken
	g := grantOf(r.Key, r.responseKey, next.Scope, tokens)
	expires := time.Now().Add(g.life)
	g.renewable = expires.Before(r.Session.RenewUntil)
	sealed, err := g.seal()
	if err != nil {
		refused(sealCode(err), err)
		return
	}
	next.Scope = g.scope
	e, err := b.ending(r.Key, &schemas.Granted{ID: r.ID, Sealed: sealed}, metrics.Renewed, expires)
	done := b.settle(ctx, r.Key, r.Now, e, err, func() (bool, error) {
		return b.cfg.Store.Renewed(ctx, e, store.Renewed{Session: r.Session, Renewal: next, Handle: g.handle, Expires: expires})
	})
	if !done { // signed out, or given up by another bridge
		b.endRenewal(ctx, r.Key, r.Now, schemas.UnknownSession, 0, b.cfg.Store.RenewalFailed)
		b.giveUp(ctx, r.Session, tokens.RefreshToken)
	}
}

// endRenewal ends a renewal, which began at since, with a refusal.
func (b *Bridge) endRenewal(ctx context.Context, k store.Key, since time.Time, code schemas.Code, retry time.Duration, write func(context.Context, store.Ending) (bool, error)) {
	e, err := b.refusal(k, code, retry)
	b.settle(ctx, k, since, e, err, func() (bool, error) { return write(ctx, e) })
	b.wakeRevocations.wake()
}

// settle makes the ending of a renewal durable, whatever it takes, and publishes
// it. It reports whether it did.
func (b *Bridge) settle(ctx context.Context, k store.Key, since time.Time, e store.Ending, err error, write func() (bool, error)) bool {
	var stored bool
	if err == nil {
		stored, err = b.persist(ctx, time.Now().Add(refusalLife), write)
	}
	if err != nil {
		b.log.Error("ending a renewal", "device", k.Device, "request", k.ID, "error", err)
		return false // the claim runs out, and the row is looked at again
	}
	b.ended(asked{metrics.Renewal, since}, e, stored)
	return stored
}

// forsakeDue ends the renewals of which nobody knows whether the provider has
// heard of them, and their sessions: the refresh token may be spent.
func (b *Bridge) forsakeDue(ctx context.Context) (time.Duration, error) {
	now := time.Now()
	claimed, err := b.cfg.Store.ClaimRenewing(ctx, now, now.Add(renewLease), claimBatch)
	if err != nil {
		return 0, fmt.Errorf("claiming interrupted renewals: %w", err)
	}
	for _, r := range claimed {
		b.endRenewal(ctx, r.Key, time.Time{}, schemas.Interrupted, 0, b.cfg.Store.RenewalFailed)
	}
	return gather(claimed), nil
}
