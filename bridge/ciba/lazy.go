package ciba

import (
	"context"
	"sync"
	"time"
)

// A lazy value is fetched by the first caller who needs it, and again by a later
// one who finds it old. It has no goroutine. The last good value outlives any
// number of failed fetches.
type lazy[T comparable] struct {
	endpoint string // for errors
	fetch    func(context.Context) (T, error)
	// maxAge is when a value is fetched again; pause is the least time between
	// two fetches.
	maxAge, pause time.Duration

	// mu guards what follows. It is not held while fetching.
	mu      sync.Mutex
	value   T
	fetched time.Time     // when value came; zero if there is none
	tried   time.Time     // end of the last fetch, good or not
	err     error         // of the last fetch
	flight  chan struct{} // closed when the running fetch ends; nil if none runs
}

// get returns the value, fetching it if there is none or if it is old. An old
// value is good enough while somebody else fetches, and after a failure.
func (l *lazy[T]) get(ctx context.Context) (T, error) {
	return l.obtain(ctx, false, func() bool { return time.Since(l.fetched) < l.maxAge })
}

// newer returns another value than old, or old again if it is too early to
// fetch or if fetching fails.
func (l *lazy[T]) newer(ctx context.Context, old T) (T, error) {
	return l.obtain(ctx, true, func() bool { return l.value != old })
}

// obtain fetches until good holds, which is asked under mu, or until no fetch
// is permitted. A caller with patience waits for a fetch that runs already.
func (l *lazy[T]) obtain(ctx context.Context, patience bool, good func() bool) (T, error) {
	for {
		l.mu.Lock()
		have := !l.fetched.IsZero()
		tired := !l.tried.IsZero() && time.Since(l.tried) < l.pause
		flight := l.flight
		switch {
		case have && (good() || flight == nil && tired || flight != nil && !patience):
			defer l.mu.Unlock()
			return l.value, nil
		case flight == nil && tired:
			defer l.mu.Unlock()
			return l.value, l.err
		case flight == nil:
			l.flight = make(chan struct{})
			l.mu.Unlock()
			l.fly(ctx)
		default:
			l.mu.Unlock()
			wait(ctx, flight)
		}
		if ctx.Err() != nil {
			return l.last(&transportError{endpoint: l.endpoint, unsent: true, err: ctx.Err()})
		}
	}
}

// fly fetches once. A fetch that ended because its caller gave up says nothing
// about the provider, so the next caller may try at once.
func (l *lazy[T]) fly(ctx context.Context) {
	value, err := l.fetch(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.flight)
	l.flight = nil
	switch {
	case err == nil:
		l.value, l.fetched, l.tried, l.err = value, time.Now(), time.Now(), nil
	case ctx.Err() == nil:
		l.tried, l.err = time.Now(), err
	}
}

// last returns the value, or err if there is none.
func (l *lazy[T]) last(err error) (T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.fetched.IsZero() {
		err = nil
	}
	return l.value, err
}

func wait(ctx context.Context, done <-chan struct{}) {
	select {
	case <-done:
	case <-ctx.Done():
	}
}
