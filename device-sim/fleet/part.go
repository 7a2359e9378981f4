package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-iot/carillon/device-sim/process"
)

// A part is a program in a child process that is killed and started again: one
// life after the other.
type part struct {
	name    string
	program string
	args    []string
	ready   func(context.Context) error // nil when it does its work
	output  *os.File
	failed  func(error) // told when it ends by itself
	turn    sync.Mutex  // held from a kill until it is back

	mu      sync.Mutex    // guards the fields below
	life    *life         // nil while it is dead
	past    time.Duration // CPU of the lives before
	largest int64         // resident bytes, of any life
}

// life is one process of a part.
type life struct {
	*process.Child
	ending atomic.Bool // somebody ends it
}

// readyTime bounds the wait for a part. On a machine that is busy with ten
// thousand devices which come back, it takes a while.
const readyTime = 2 * time.Minute

// start begins a life, and returns when it is ready.
func (p *part) start(ctx context.Context) error {
	child, err := process.Start(p.program, p.args, p.output)
	if err != nil {
		return err
	}
	l := &life{Child: child}
	p.mu.Lock()
	p.life = l
	p.mu.Unlock()
	go p.watch(l)
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-child.Done():
			return fmt.Errorf("%s: ended before it was ready: %w", p.name, orNoError(child.Err()))
		case <-ctx.Done():
			return fmt.Errorf("%s: not ready: %w", p.name, err)
		}
	}
}

// watch tells when a life ends that nobody has ended.
func (p *part) watch(l *life) {
	<-l.Done()
	if !l.ending.Load() {
		p.failed(fmt.Errorf("the %s has ended by itself: %w", p.name, orNoError(l.Err())))
	}
}

var errNoError = errors.New("it reported no error")

func orNoError(err error) error {
	if err == nil {
		return errNoError
	}
	return err
}

// end returns the present life, if there is one, which from now on is expected to
// end.
func (p *part) end() *life {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life != nil {
		p.life.ending.Store(true)
	}
	return p.life
}

// kill ends a life (kill -9).
func (p *part) kill() error {
	p.usage() // how large it was
	l := p.end()
	if l == nil {
		return fmt.Errorf("the %s is dead already", p.name)
	}
	if err := l.Kill(); err != nil {
		return err
	}
	u := l.Usage()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.past, p.life = p.past+u.CPU, nil
	return nil
}

// stop ends the last life in good order.
func (p *part) stop() error {
	if l := p.end(); l != nil {
		return l.Stop()
	}
	return nil
}

// usage is what all lives have cost so far; Peak is the most that one of them was
// seen to hold.
func (p *part) usage() process.Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	var u process.Usage
	if p.life != nil {
		u = p.life.Usage()
	}
	p.largest = max(p.largest, u.Resident, u.Peak)
	u.CPU, u.Peak = u.CPU+p.past, p.largest
	return u
}
