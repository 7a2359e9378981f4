package link

import (
	"math/rand/v2"
	"time"
)

// backoff says how long to wait after each failure: a random time up to a
// ceiling that doubles ("full jitter"), so that a fleet that lost its broker in
// one moment does not come back in one moment.
type backoff struct {
	min, max time.Duration
	ceiling  time.Duration // of the last wait; zero before the first
}

// next returns the wait after a connection that was up for that long, zero for
// an attempt that failed. Only a connection that outlived the longest wait
// starts over: two clients with one identity, each ending the other's
// connection, must slow down although every one of their attempts succeeds.
func (b *backoff) next(up time.Duration) time.Duration {
	if up >= b.max || b.ceiling == 0 {
		b.ceiling = b.min
	} else {
		b.ceiling = min(2*b.ceiling, b.max)
	}
	return rand.N(b.ceiling) + 1
}
