package world

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// A part is something of the world that runs. Its goroutine ends with stop, or
// takes the world with it.
type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid when done is closed

	killed atomic.Bool // it will end, and may say what it likes
}

// begin runs something until its part is stopped. It lives on when the context
// of Start ends: parts are stopped in order, by Close.
func (w *World) begin(name string, run func(context.Context) error) *part {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{name: name, cancel: cancel, done: make(chan struct{})}
	w.mu.Lock()
	w.parts = append(w.parts, p)
	w.mu.Unlock()
	go func() {
		defer close(p.done)
		p.err = run(ctx)
		if ctx.Err() == nil && !p.killed.Load() {
			w.fail(fmt.Errorf("the %s has ended by itself: %w", name, orNoError(p.err)))
		}
	}()
	return p
}

// expectEnd says that somebody is about to kill the part.
func (p *part) expectEnd() { p.killed.Store(true) }

func (p *part) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends a part, waits for it, and returns what it ended with, unless that
// is the end of its context.
func (p *part) stop() error {
	p.cancel()
	<-p.done
	if p.err != nil && !errors.Is(p.err, context.Canceled) && !p.killed.Load() {
		return fmt.Errorf("%s: %w", p.name, p.err)
	}
	return nil
}

var errNoError = errors.New("it returned no error")

func orNoError(err error) error {
	if err == nil {
		return errNoError
	}
	return err
}

// fail remembers the first reason why the world cannot go on.
func (w *World) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure == nil {
		w.failure = err
		close(w.failed)
	}
	w.cfg.Logger.Error("the world cannot go on", "error", err)
}

// Failed is closed when a part has ended that should not have; Err says which.
func (w *World) Failed() <-chan struct{} { return w.failed }

// Err returns why the world cannot go on, or nil.
func (w *World) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failure
}
