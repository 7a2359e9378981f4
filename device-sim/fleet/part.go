package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
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

	mu      sync.Mutex // guards the fields below
	child   *process.Child
	ending  bool          // it is killed, or stopped
	past    time.Duration // CPU of the lives before
	largest int64         // resident bytes, of any life
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
	p.mu.Lock()
	p.child, p.ending = child, false
	p.mu.Unlock()
	go p.watch(child)
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
func (p *part) watch(child *process.Child) {
	<-child.Done()
	p.mu.Lock()
	expected := p.ending
	p.mu.Unlock()
	if !expected {
		p.failed(fmt.Errorf("the %s has ended by itself: %w", p.name, orNoError(child.Err())))
	}
}

var errNoError = errors.New("it reported no error")

func orNoError(err error) error {
	if err == nil {
		return errNoError
	}
	return err
}

// kill ends a life (kill -9).
func (p *part) kill() error {
	p.mu.Lock()
	child := p.child
	p.ending = true
	p.mu.Unlock()
	p.usage() // how large it was
	if err := child.Kill(); err != nil {
		return err
	}
	u := child.Usage()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.past, p.child = p.past+u.CPU, nil
	return nil
}

// stop ends the last life in good order.
func (p *part) stop() error {
	p.mu.Lock()
	child := p.child
	p.ending = true
	p.mu.Unlock()
	if child == nil {
		return nil
	}
	return child.Stop()
}

// usage is what all lives have cost so far; Peak is the most that one of them was
// seen to hold.
func (p *part) usage() process.Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	var u process.Usage
	if p.child != nil {
		u = p.child.Usage()
	}
	p.largest = max(p.largest, u.Resident, u.Peak)
	u.CPU, u.Peak = u.CPU+p.past, p.largest
	return u
}
