package bridge

import (
	"context"
	"errors"
	"strings"
	"time"

	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/bridge/trace"
	"github.com/carillon-iot/carillon/schemas"
)

// watch has the queues of the bridge looked at whenever metrics are gathered.
func (b *Bridge) watch() {
	m := b.cfg.Metrics
	m.WatchQueue("intake", b.intake.room(), b.intake.len)
	m.WatchQueue("outbox", b.outbox.room(), b.outbox.len)
	m.WatchCalls(metrics.Authenticate, func() int { return b.limits.Calls }, func() int { return len(b.calls) })
	m.WatchCalls(metrics.Token, func() int { return int(b.share.Load()) }, func() int { return len(b.polls) })
	m.WatchCalls(metrics.Refresh, func() int { return b.limits.Renewals }, func() int { return len(b.renewals) })
	m.WatchLimit(b.limits.Open)
}

// stage says that a stage of a request, which began at from, is over.
func (b *Bridge) stage(k store.Key, s metrics.Stage, from time.Time) {
	b.cfg.Metrics.Stage(s, time.Since(from))
	b.traces.Step(k, trace.Step{Name: string(s), From: from})
}

// waited says that the wait for a person is over.
func (b *Bridge) waited(r store.Request, how ciba.Outcome) {
	if r.Details.Rang == 0 {
		return // of a bridge that did not record it
	}
	since := time.UnixMilli(r.Details.Rang)
	switch how {
	case ciba.OutcomeGranted:
		b.cfg.Metrics.Decided(metrics.Approved, time.Since(since))
	case ciba.OutcomeDenied:
		b.cfg.Metrics.Decided(metrics.Denied, time.Since(since))
	}
	b.traces.Step(r.Key, trace.Step{Name: "wait", From: since, Result: string(how)})
}

// called says that a call of the provider which began at sent has come back. The
// zero Key is that of a call for no request. Of the polls that bring nothing
// there are too many to be told one by one.
func (b *Bridge) called(ctx context.Context, k store.Key, c metrics.Call, sent time.Time, err error) {
	r := resultOf(err)
	if err != nil && ctx.Err() != nil {
		r = metrics.Stopped
	}
	b.cfg.Metrics.Called(c, r, time.Since(sent))
	if k != (store.Key{}) && r != metrics.Waiting && r != metrics.SlowDown {
		b.traces.Step(k, trace.Step{Name: string(c), From: sent, Kind: oteltrace.SpanKindClient, Result: string(r), Failed: err != nil})
	}
}

// reported says that the provider has reported of a sign-in that waited for it.
func (b *Bridge) reported(k store.Key, what metrics.Notification, arrived time.Time) {
	b.cfg.Metrics.Notified(what)
	b.traces.Step(k, trace.Step{Name: string(what), From: arrived, Kind: oteltrace.SpanKindServer})
}

// published says what has become of an attempt to publish a message.
func (b *Bridge) published(out message, err error) {
	what := metrics.Published
	if err != nil {
		what = metrics.Unsent
	} else {
		b.cfg.Metrics.Stage(metrics.Publish, time.Since(out.since))
	}
	b.cfg.Metrics.Published(what)
	if out.request != (schemas.ID{}) {
		b.traces.Step(store.Key{Device: out.topic.Device, ID: out.request},
			trace.Step{Name: "publish", From: out.since, Kind: oteltrace.SpanKindProducer, Result: string(what), Failed: err != nil})
	}
}

// An asked is what a request asks for, and since when.
type asked struct {
	what  metrics.Request
	since time.Time // zero: not known, or just now
}

// signInOf is what a sign-in in the store asks for.
func signInOf(r store.Request) asked {
	if r.Details.Begun == 0 {
		return asked{what: metrics.SignIn}
	}
	return asked{metrics.SignIn, time.UnixMilli(r.Details.Begun)}
}

// answered says that a request was ended by this bridge, in the one line of each
// request. More are further attributes.
func (b *Bridge) answered(q asked, e store.Ending, more ...any) {
	since := q.since
	attrs := []any{"device", e.Device, "request", e.ID, "kind", string(q.what), "outcome", e.Outcome}
	if since.IsZero() {
		since = e.Now
	} else {
		attrs = append(attrs, "took", time.Since(since).Round(time.Millisecond))
	}
	if id := b.traces.ID(e.Key); id != "" {
		attrs = append(attrs, "trace", id)
	}
	b.cfg.Metrics.Ended(q.what, e.Outcome)
	b.traces.Request(e.Key, string(q.what), since, e.Outcome)
	b.log.Info("request ended", append(attrs, more...)...)
}

// suppressed counts a sign-in that Begin has refused.
func (b *Bridge) suppressed(begun store.Begun) {
	switch begun.Verdict {
	case store.PersonBusy:
		b.cfg.Metrics.Suppressed(metrics.AlreadyRinging)
	case store.CoolingDown:
		b.cfg.Metrics.Suppressed(metrics.CoolDown)
	case store.OverQuota:
		whose, _, _ := strings.Cut(begun.Quota, " ")
		b.cfg.Metrics.Suppressed(metrics.Suppression(whose + "_quota"))
	}
}

// A shortage is an error that says what there was not enough of.
type shortage struct {
	of metrics.Shortage
	error
	wait time.Duration // after which there may be enough; 0 for busyRetry
}

// shortageOf is what a request found too little of that ended with err.
func shortageOf(err error) metrics.Shortage {
	var s shortage
	switch {
	case errors.As(err, &s):
		return s.of
	case errors.Is(err, store.ErrTooMany):
		return metrics.DeviceLimit
	}
	return metrics.StoreFails
}
