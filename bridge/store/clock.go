package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// clockEvery is how often the clocks are compared.
	clockEvery = 10 * time.Second
	// clockSlack is how far the clocks may differ without being corrected.
	clockSlack = 100 * time.Millisecond
)

// A clock turns instants of this machine into those that are stored, and back.
//
// Bridges that share a database go by its clock: a bridge whose own clock is
// ahead would take polls of another that are not over yet.
type clock struct {
	asks  func(context.Context) (time.Time, error) // the database for its time; nil if it has none of its own
	ahead atomic.Int64                             // its time is, of ours, as last compared; milliseconds
}

// ms is an instant as it is stored; zero is 0.
func (c *clock) ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli() + c.ahead.Load()
}

// at is the inverse of ms.
func (c *clock) at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms - c.ahead.Load())
}

// compare corrects ahead, unless what was measured may be no difference at all.
func (c *clock) compare(ctx context.Context) error {
	if c.asks == nil {
		return nil
	}
	asked := time.Now()
	theirs, err := c.asks(ctx)
	if err != nil {
		return fmt.Errorf("comparing the clocks: %w", err)
	}
	doubt := time.Since(asked) / 2
	ahead := theirs.Sub(asked.Add(doubt))
	if wrong := ahead - time.Duration(c.ahead.Load())*time.Millisecond; wrong.Abs() > doubt+clockSlack {
		c.ahead.Store(ahead.Milliseconds())
	}
	return nil
}

// keepTime compares the clocks until ctx is done. A database that does not answer
// does not matter here: nothing else works then either.
func (s *Store) keepTime(ctx context.Context) {
	for {
		select {
		case <-time.After(clockEvery):
			ctx, cancel := s.within(ctx)
			_ = s.compare(ctx)
			cancel()
		case <-ctx.Done():
			return
		}
	}
}
