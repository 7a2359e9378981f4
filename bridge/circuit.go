package bridge

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
)

const (
	// shutAfter is how often in a row, counted over all bridges, a provider must fail
	// to answer before nobody is rung for a while.
	shutAfter = 5
	// firstShut is how long that is at first; it doubles with each further failure, up
	// to maxShut, which also bounds what the provider itself asks for.
	firstShut = time.Second
	maxShut   = time.Minute
)

// judge tells the store, and so all bridges, whether the provider can answer:
// while it cannot, new requests are told to come back, and those that it has taken
// on go on, each at the pace of its own polls. Failed says that it could not the
// last time.
func (b *Bridge) judge(ctx context.Context, err error, failed bool) {
	switch {
	case err != nil && ctx.Err() != nil:
		// The bridge stops; that says nothing about the provider.
	case errors.Is(err, ciba.ErrUnavailable):
		b.failed(ctx, err)
	case failed:
		if err := b.cfg.Store.Answered(ctx, b.cfg.Issuer); err != nil {
			b.log.Error("recording that the provider answers again", "error", err)
			return
		}
		b.log.Info("the provider answers again")
	}
}

func (b *Bridge) failed(ctx context.Context, cause error) {
	answer, _ := errors.AsType[*ciba.Error](cause)
	var shut time.Duration
	n, err := b.cfg.Store.Failed(ctx, b.cfg.Issuer, time.Now(), func(failures int) time.Duration {
		shut = shutFor(failures, answer)
		return shut
	})
	switch {
	case err != nil:
		b.log.Error("recording that the provider does not answer", "error", err)
	case shut > 0:
		b.log.Warn("the provider does not answer, nobody is rung for a while", "failures", n, "for", shut, "error", cause)
	}
}

// shutFor is how long nobody is rung after so many failures in a row: as long as
// the provider asks for, or else longer with each. A part of it is chance, so that
// bridges and providers do not fall into step.
func shutFor(failures int, answer *ciba.Error) time.Duration {
	d := time.Duration(0)
	switch {
	case answer != nil && answer.RetryAfter > 0:
		d = min(answer.RetryAfter, maxShut)
	case failures >= shutAfter:
		d = min(firstShut<<min(failures-shutAfter, 10), maxShut)
	default:
		return 0
	}
	return d + rand.N(d/4)
}
