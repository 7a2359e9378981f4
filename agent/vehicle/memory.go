package vehicle

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
)

// A Change is a signal that has taken a new value.
type Change struct {
	Path string
	Old  Value
	New  Value
}

// Memory is a vehicle in memory: two seats in front and three behind, every
// signal of the catalog that fits them. It checks what is written like a good
// vehicle does. It may be used concurrently.
type Memory struct {
	catalog *Catalog

	mu       sync.Mutex // guards the fields below
	values   map[string]Value
	watchers map[chan Change]struct{}
}

// NewMemory returns a vehicle at rest, standing, nobody's settings applied. A
// nil catalog means VSS6.
func NewMemory(c *Catalog) *Memory {
	if c == nil {
		c = VSS6()
	}
	m := &Memory{catalog: c, values: map[string]Value{}, watchers: map[chan Change]struct{}{}}
	for s := range c.All() {
		if !strings.Contains(s.Path, ".Row1.Middle.") && !strings.Contains(s.Path, ".Row3.") && !strings.Contains(s.Path, ".Row4.") {
			m.values[s.Path] = s.rest
		}
	}
	return m
}

// Get returns the present value of a signal; ErrNoSignal if there is none.
func (m *Memory) Get(_ context.Context, path string) (Value, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[path]
	if !ok {
		return Value{}, fmt.Errorf("%w: %q", ErrNoSignal, path)
	}
	return v, nil
}

// Set writes an actuator, which takes the value at once. Errors: ErrNoSignal,
// or what [Signal.Check] says.
func (m *Memory) Set(_ context.Context, path string, v Value) error {
	s, ok := m.catalog.Signal(path)
	if !ok {
		return fmt.Errorf("%w: %q", ErrNoSignal, path)
	}
	if err := s.Check(v); err != nil {
		return err
	}
	return m.take(path, v)
}

// Sense makes a sensor, or a person's hand on an actuator, report a value.
func (m *Memory) Sense(path string, v Value) error {
	s, ok := m.catalog.Signal(path)
	if !ok {
		return fmt.Errorf("%w: %q", ErrNoSignal, path)
	}
	if err := s.checkValue(v); err != nil {
		return err
	}
	return m.take(path, v)
}

// Drive makes the vehicle go at so many km/h; 0 stops it.
func (m *Memory) Drive(speed float64) error {
	if err := m.Sense(PathSpeed, Number(speed)); err != nil {
		return err
	}
	return m.Sense(PathIsMoving, Bool(speed != 0))
}

func (m *Memory) take(path string, v Value) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.values[path]
	if !ok {
		return fmt.Errorf("%w: %q", ErrNoSignal, path)
	}
	m.values[path] = v
	if old == v {
		return nil
	}
	for w := range m.watchers {
		select {
		case w <- Change{path, old, v}:
		default: // see Watch
		}
	}
	return nil
}

// Values returns a copy of everything.
func (m *Memory) Values() map[string]Value {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.values)
}

// watchBuffer is more than any one batch of settings changes.
const watchBuffer = 512

// Watch returns a channel of changes, closed when ctx ends. A watcher that
// falls far behind misses changes; Values says what is true.
func (m *Memory) Watch(ctx context.Context) <-chan Change {
	w := make(chan Change, watchBuffer)
	m.mu.Lock()
	m.watchers[w] = struct{}{}
	m.mu.Unlock()
	context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, w)
		close(w)
	})
	return w
}
