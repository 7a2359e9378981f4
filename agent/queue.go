package agent

import "sync"

// A queue is a bounded FIFO between goroutines that never makes the one that
// puts wait. Any number put, one takes.
type queue[T any] struct {
	max  int
	wake chan struct{} // holds one token while there is something to take

	mu    sync.Mutex // guards items
	items []T
}

func newQueue[T any](max int) *queue[T] {
	return &queue[T]{max: max, wake: make(chan struct{}, 1)}
}

// put reports whether there was room.
func (q *queue[T]) put(item T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) >= q.max {
		return false
	}
	q.items = append(q.items, item)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

// take returns the oldest item. After a false, wake tells of the next.
func (q *queue[T]) take() (item T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		q.items = nil // an idle agent keeps no memory for it
		return item, false
	}
	item = q.items[0]
	q.items = q.items[1:]
	return item, true
}

// clear forgets everything.
func (q *queue[T]) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = nil
}
