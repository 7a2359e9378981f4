package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// An attempt is a new sign-in on its way to the provider. Part of it is secret.
type attempt struct {
	store.Start
	about     about
	expiry    time.Duration
	perPerson store.Quota // one of Quotas
	failed    bool        // the provider could not answer the last time
}

// providerQuota begins the name of the quota of pushes in all.
const providerQuota = "provider "

// about is the request_context of an attempt.
type about struct {
	Device  string       `json:"device"`
	Seat    schemas.Seat `json:"seat,omitempty"`
	Moving  bool         `json:"moving,omitempty"`
	Purpose string       `json:"purpose,omitempty"`
}

// signIn answers a repeated request with its state and begins a new one. From is
// the certificate that has signed it.
func (b *Bridge) signIn(ctx context.Context, d schemas.DeviceID, from schemas.KeyID, m *schemas.SignIn) {
	k := store.Key{Device: d, ID: m.ID}
	if !b.isNew(ctx, k, m.IssuedAt) {
		return
	}
	a, refusal, err := b.consider(ctx, k, m)
	switch {
	case err != nil:
		b.busy(k, err)
	case refusal != nil && !refusal.Code.Final():
		b.reply(d, b.refused(k.ID, refusal.Code, refusal.RetryAfter))
	case refusal != nil:
		b.reject(ctx, k, metrics.SignIn, *refusal)
	default:
		a.Details.Sender = from
		b.begin(ctx, a)
	}
}

// repeat answers a request that is known already, and begins nothing.
func (b *Bridge) repeat(r store.Request) {
	b.cfg.Metrics.Suppressed(metrics.Duplicate)
	switch {
	case r.State == store.Answered && time.Now().Before(r.Deadline):
		b.answer(r.Key, r.Answer)
	case r.State == store.Waiting && r.Broken == nil:
		b.reply(r.Device, pending(r.ID, r.Details.Binding, r.Deadline))
	case r.State == store.Answered, r.Outcome == store.Lapsed:
		b.reply(r.Device, b.refused(r.ID, schemas.Expired, 0))
	}
	// Else it rings, and pending follows; or the device has receipted the answer,
	// and this is an old copy.
}

func pending(id schemas.ID, binding string, deadline time.Time) *schemas.Pending {
	left := max(time.Until(deadline), time.Second)
	return &schemas.Pending{ID: id, ExpiresIn: uint32(left / time.Second), Binding: binding}
}

// consider turns a request into an attempt, or says why not.
func (b *Bridge) consider(ctx context.Context, k store.Key, m *schemas.SignIn) (attempt, *policy.Refusal, error) {
	private, refusal := b.openPrivate(k.Device, m)
	if refusal != nil {
		return attempt{}, refusal, nil
	}
	scope := strings.Fields(m.Scope)
	if refusal := b.cfg.Policy.Check(policy.Ask{Kind: m.Device, Scope: scope, Seat: m.Seat, Moving: m.Moving, Purpose: private.Purpose}); refusal != nil {
		return attempt{}, refusal, nil
	}
	if m.ConfirmKey != nil {
		return attempt{}, &policy.Refusal{Code: schemas.Unsupported, Reason: "a token bound to a key was asked for"}, nil
	}
	who, refusal, err := b.resolve(ctx, k.Device, m.Person, private)
	if refusal != nil || err != nil {
		return attempt{}, refusal, err
	}
	now := time.Now()
	a := attempt{
		about:     about{m.Device.String(), m.Seat, m.Moving, private.Purpose},
		expiry:    b.cfg.Policy.Expiry(time.Duration(m.Expiry) * time.Second),
		perPerson: store.Quota{Name: "person " + who.person.String(), Rate: b.cfg.Policy.PerPerson},
	}
	a.Start = store.Start{
		Key:      k,
		Person:   who.person,
		Now:      now,
		Due:      now.Add(ringLease),
		Deadline: now.Add(a.expiry),
		Provider: b.cfg.Issuer,
		Ringing:  b.limits.Calls,
		Quotas: []store.Quota{
			{Name: "device " + string(k.Device), Rate: b.cfg.Policy.PerDevice},
			a.perPerson,
			{Name: providerQuota + b.cfg.Issuer, Rate: b.cfg.Policy.PerProvider},
		},
		Details: store.Details{
			Issuer:      b.cfg.Issuer,
			Subject:     who.subject,
			Hint:        who.hint,
			Scope:       scope,
			ACR:         b.cfg.Asks.acr(strings.Fields(m.ACR)),
			ResponseKey: m.ResponseKey,
			Asked:       now.Unix(),
			Binding:     b.cfg.Provider.Profile().Binding.New(),
			Begun:       now.UnixMilli(),
			Kind:        m.Device,
		},
	}
	return a, nil, nil
}

// begin makes the attempt durable, if there is room and the quotas allow it, and
// has the phone rung.
func (b *Bridge) begin(ctx context.Context, a attempt) {
	if open := b.open.Load(); open >= int64(b.limits.Open) {
		b.busy(a.Key, shortage{of: metrics.OpenLimit, error: fmt.Errorf("%d sign-ins are open, limit %d", open, b.limits.Open)})
		return
	}
	if err := b.takePlace(b.calls, metrics.CallLimit); err != nil {
		b.busy(a.Key, err)
		return
	}
	b.step(stepAccepted)
	begun, err := b.cfg.Store.Begin(ctx, a.Start)
	if err == nil && begun.Verdict == store.Started {
		b.stage(a.Key, metrics.Accept, a.Now)
		b.open.Add(1)
		a.failed = begun.Failed
		b.working.Go(func() {
			defer func() { <-b.calls }()
			b.ring(b.work, a)
		})
		return
	}
	<-b.calls
	b.notBegun(ctx, a.Key, begun, err)
}

// notBegun answers a request that Begin has refused.
func (b *Bridge) notBegun(ctx context.Context, k store.Key, begun store.Begun, err error) {
	if err != nil {
		b.busy(k, err)
		return
	}
	b.suppressed(begun)
	if s, short := shortageFor(begun); short {
		b.busy(k, s)
		return
	}
	r := policy.Refusal{RetryAfter: begun.Wait}
	switch begun.Verdict {
	case store.Known: // by another bridge, since we looked
		return
	case store.PersonBusy:
		r.Code, r.Reason = schemas.AlreadyRinging, "another request rings for the person"
	case store.CoolingDown:
		r.Code, r.Reason = schemas.TooManyRequests, "the person said no, not long ago"
	default:
		what, _, _ := strings.Cut(begun.Quota, " ")
		r.Code, r.Reason = schemas.TooManyRequests, "the quota of the "+what+" is spent"
	}
	b.reject(ctx, k, metrics.SignIn, r)
}

// shortageFor is what Begin has found too little of, if that is something for
// which the device had better come back by itself: it is nobody's fault there.
func shortageFor(begun store.Begun) (shortage, bool) {
	s := shortage{wait: begun.Wait}
	switch {
	case begun.Verdict == store.TooMany:
		s.of, s.error = metrics.DeviceLimit, fmt.Errorf("the device has %d requests", store.MaxPerDevice)
	case begun.Verdict == store.ProviderBusy:
		s.of, s.error = metrics.CallLimit, errors.New("as many phones are about to ring as may, at all bridges together")
	case begun.Verdict == store.ProviderDown:
		s.of, s.error = metrics.Provider, errors.New("the provider does not answer")
	case begun.Verdict == store.OverQuota && strings.HasPrefix(begun.Quota, providerQuota):
		s.of, s.error = metrics.PushQuota, errors.New("the provider takes no more pushes now")
	default:
		return shortage{}, false
	}
	return s, true
}
