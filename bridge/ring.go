package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// ring asks the provider to ring the phone, once, and records what came of it.
func (b *Bridge) ring(ctx context.Context, a attempt) {
	b.step(stepRinging)
	callCtx, cancel := context.WithTimeout(ctx, min(callTimeout, a.expiry))
	b.cfg.Metrics.Rings()
	sent := time.Now()
	ack, err := b.cfg.Provider.RequestAuthentication(callCtx, b.authenticationRequest(a))
	cancel()
	b.called(ctx, a.Key, metrics.Authenticate, sent, err)
	b.step(stepRung)
	if err != nil {
		b.judge(ctx, err, a.failed)
		b.notRung(ctx, a, err)
		return
	}
	rang := time.Now()
	poll := b.firstPoll(ack, rang)
	if b.cfg.Delivery != ciba.DeliveryPush && b.cfg.Delivery != ciba.DeliveryPing && poll.Ended(poll.Due).Final() {
		b.notRung(ctx, a, errNeverAsked)
		return
	}
	a.Details.AuthReqID, a.Details.Rang = ack.AuthReqID, rang.UnixMilli()
	recorded, err := b.persist(ctx, a.Due, func() (bool, error) {
		return b.cfg.Store.Rang(ctx, a.Key, a.Details, poll, time.Now())
	})
	if err != nil || !recorded {
		// It was cancelled, or ends as interrupted: an approval is of no effect.
		b.log.Info("the phone rings for nothing", "device", a.Device, "request", a.ID, "error", err)
		return
	}
	b.stage(a.Key, metrics.Pending, rang)
	b.step(stepWaiting)
	b.reply(a.Device, pending(a.ID, a.Details.Binding, poll.Deadline))
	b.wakePolls.wake()
	b.judge(ctx, nil, a.failed)
}

// errNeverAsked is an acknowledgement that nobody could learn the end of.
var errNeverAsked = errors.New("the provider permits no poll before the request expires")

// firstPoll says when the provider is asked for the first time. One that pushes
// never is: the sign-in waits until its end.
func (b *Bridge) firstPoll(ack ciba.Acknowledgement, now time.Time) ciba.Poll {
	switch b.cfg.Delivery {
	case ciba.DeliveryPing:
		return ciba.NewPingPoll(ack, now)
	case ciba.DeliveryPush:
		end := now.Add(ack.Lifetime())
		return ciba.Poll{Interval: ack.Interval, Due: end, Deadline: end}
	default:
		return ciba.NewPoll(ack, now)
	}
}

func (b *Bridge) authenticationRequest(a attempt) ciba.AuthenticationRequest {
	req := ciba.AuthenticationRequest{
		Scope:           b.providerScope(a.Details),
		BindingMessage:  a.Details.Binding,
		RequestedExpiry: a.expiry,
		ACRValues:       a.Details.ACR,
	}
	if b.tokens != nil {
		// Names are short enough; if one were not, the request would not be sent.
		req.NotificationToken, _ = b.tokens.Mint(b.cfg.Store.Alias(a.Key))
	}
	switch h := a.Details.Hint; h.Kind {
	case store.LoginHintToken:
		req.LoginHintToken = h.Value
	case store.IDTokenHint:
		req.IDTokenHint = h.Value
	default:
		req.LoginHint = h.Value
	}
	b.cfg.Asks.add(&req, a)
	if b.cfg.RequestContext {
		req.RequestContext, _ = json.Marshal(a.about) // texts and numbers always encode
	}
	return req
}

// notRung ends an attempt that the provider has not taken on.
func (b *Bridge) notRung(ctx context.Context, a attempt, cause error) {
	if ctx.Err() != nil {
		return // the bridge stops; the row ends as interrupted
	}
	code, retry := b.callCode(cause)
	b.complain(a.Key, code, cause)
	// A hint that the provider does not take, or that was not even sent, may still
	// claim to be about somebody, who must not pay for it.
	var back []store.Quota
	if errors.Is(cause, ciba.ErrUnknownUser) || errors.As(cause, new(*ciba.FieldError)) {
		back = append(back, a.perPerson)
	}
	e, err := b.refusal(a.Key, code, retry)
	r := store.Request{Key: a.Key, Deadline: a.Deadline, Details: a.Details}
	if err := b.finish(ctx, r, e, err, func() (bool, error) { return b.cfg.Store.Refuse(ctx, e, back...) }); err != nil {
		b.log.Error("ringing", "device", a.Device, "request", a.ID, "error", err)
	}
}

// offline reports whether the bridge asks that a person may stay signed in on
// this kind of device, and for how long.
func (b *Bridge) offline(kind schemas.DeviceKind) (time.Duration, bool) {
	life := b.cfg.Policy.SessionLife[kind]
	return life, life > 0
}

// offlineAccess is the scope that asks for a refresh token (OpenID Connect Core
// section 11).
const offlineAccess = "offline_access"

// providerScope is what is asked of the provider.
func (b *Bridge) providerScope(d store.Details) []string {
	scope := append([]string{"openid"}, without(d.Scope, "openid")...)
	if _, ok := b.offline(d.Kind); ok {
		scope = append(without(scope, offlineAccess), offlineAccess)
	}
	return scope
}
