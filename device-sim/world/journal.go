package world

import (
	"sync"
	"time"
)

// An Event is one thing that has happened in the world.
type Event struct {
	// At is when, since the world was up; negative while it comes up. Took is
	// how long after the event before.
	At, Took time.Duration
	// Who did it: "blue car", "Anna's phone", "bridge".
	Who string
	// What it was, one word for scripts: see docs/simulator.md.
	What string
	// Text says it for people.
	Text string
	// Up and Down are the bytes of MQTT that the car's radio has carried since
	// the car's event before; 0 for everybody else.
	Up, Down int64
}

// journal tells of events in order, and wakes those who wait for a change.
type journal struct {
	observe func(Event) // called under mu, so in order; must not call back

	mu      sync.Mutex // guards the fields below
	up      time.Time  // what At counts from
	last    time.Time  // of the event before
	changed chan struct{}
	quiet   bool // after Close: nobody is told any more
}

func newJournal(observe func(Event)) *journal {
	if observe == nil {
		observe = func(Event) {}
	}
	now := time.Now()
	return &journal{observe: observe, up: now, last: now, changed: make(chan struct{})}
}

// tell fills in the times.
func (j *journal) tell(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	e.At, e.Took = now.Sub(j.up), now.Sub(j.last)
	j.last = now
	if !j.quiet {
		j.observe(e)
	}
	close(j.changed)
	j.changed = make(chan struct{})
}

// begin makes now the moment that events count from.
func (j *journal) begin() time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	took := now.Sub(j.up)
	j.up, j.last = now, now
	return took
}

func (j *journal) hush() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.quiet = true
}

// next is closed at the next event.
func (j *journal) next() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}

// wake makes those who wait look again, though there is nothing to tell.
func (j *journal) wake() {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.changed)
	j.changed = make(chan struct{})
}
