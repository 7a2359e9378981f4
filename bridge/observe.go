package bridge

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/store"
)

// watch has the queues of the bridge looked at whenever metrics are gathered.
func (b *Bridge) watch() {
	m := b.cfg.Metrics
	m.WatchQueue("intake", b.intake.room(), b.intake.len)
	m.WatchQueue("outbox", b.outbox.room(), b.outbox.len)
	m.WatchCalls(metrics.Authenticate, cap(b.calls), func() int { return len(b.calls) })
	m.WatchCalls(metrics.Token, cap(b.polls), func() int { return len(b.polls) })
	m.WatchCalls(metrics.Refresh, cap(b.renewals), func() int { return len(b.renewals) })
	m.WatchLimit(b.limits.Open)
}

// stage says that a stage which began at from is over.
func (b *Bridge) stage(s metrics.Stage, from time.Time) {
	b.cfg.Metrics.Stage(s, time.Since(from))
}

// waited says that a person's decision has been heard of.
func (b *Bridge) waited(r store.Request, how metrics.Decision) {
	if r.Details.Rang != 0 {
		b.cfg.Metrics.Decided(how, time.Since(time.UnixMilli(r.Details.Rang)))
	}
}

// called counts a call of the provider that began at sent.
func (b *Bridge) called(ctx context.Context, c metrics.Call, sent time.Time, err error) {
	r := resultOf(err)
	if err != nil && ctx.Err() != nil {
		r = metrics.Stopped
	}
	b.cfg.Metrics.Called(c, r, time.Since(sent))
}

// results are the classes of errors of a provider in the order in which they are
// looked for: an error may be of several.
var results = []struct {
	class  error
	result metrics.Result
}{
	{ciba.ErrSlowDown, metrics.SlowDown},
	{ciba.ErrPending, metrics.Waiting},
	{ciba.ErrDenied, metrics.Refused},
	{ciba.ErrExpired, metrics.Late},
	{ciba.ErrUnknownUser, metrics.UnknownUser},
	{ciba.ErrInvalidClient, metrics.InvalidClient},
	{ciba.ErrInvalidGrant, metrics.InvalidGrant},
	{ciba.ErrInterrupted, metrics.Interrupted},
	{ciba.ErrUnavailable, metrics.Unavailable},
	{ciba.ErrTransactionFailed, metrics.Unavailable},
	{ciba.ErrIDToken, metrics.BadIDToken},
	{ciba.ErrProtocol, metrics.BadAnswer},
}

// resultOf is what an error of the provider counts as.
func resultOf(err error) metrics.Result {
	if err == nil {
		return metrics.OK
	}
	for _, r := range results {
		if errors.Is(err, r.class) {
			return r.result
		}
	}
	return metrics.InvalidRequest
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
