package bridge

import (
	"errors"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/metrics"
)

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
