package world

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// look is how often a condition is asked that no event announces.
const look = 20 * time.Millisecond

// Await asks cond again at every event, and now and then, until it returns nil.
// When ctx ends first, the last error of cond is returned; when the world cannot
// go on, why.
func (w *World) Await(ctx context.Context, cond func() error) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	began := time.Now()
	for {
		changed := w.journal.next()
		err := cond()
		if err == nil {
			return nil
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-w.failed:
			return w.Err()
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("after %v: %w", time.Since(began).Round(10*time.Millisecond), err)
		}
	}
}
