package bridge

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/carillon-iot/carillon/schemas"
)

// lanes do the work of many devices: in order for one device, at the same time
// for others. Each lane is a goroutine with a short queue.
type lanes[T any] struct {
	seed   maphash.Seed
	queues []chan T
	work   func(context.Context, T)
}

const (
	laneCount = 128 // most of a lane's time is waiting for the disk or the broker
	laneDepth = 32
)

func newLanes[T any](work func(context.Context, T)) *lanes[T] {
	l := &lanes[T]{seed: maphash.MakeSeed(), queues: make([]chan T, laneCount), work: work}
	for i := range l.queues {
		l.queues[i] = make(chan T, laneDepth)
	}
	return l
}

// offer gives item to the device's lane, or returns false if its queue is full.
func (l *lanes[T]) offer(d schemas.DeviceID, item T) bool {
	select {
	case l.queues[maphash.String(l.seed, string(d))%laneCount] <- item:
		return true
	default:
		return false
	}
}

// len is how many items are queued, about.
func (l *lanes[T]) len() (n int) {
	for _, q := range l.queues {
		n += len(q)
	}
	return n
}

// room is how many items can be.
func (l *lanes[T]) room() int { return len(l.queues) * laneDepth }

// run works with the context work until ctx is done, then does what is still
// queued if drain is set, and returns when the last lane has ended.
func (l *lanes[T]) run(ctx, work context.Context, drain bool) {
	var wg sync.WaitGroup
	for _, queue := range l.queues {
		wg.Go(func() {
			for ctx.Err() == nil {
				select {
				case item := <-queue:
					l.work(work, item)
				case <-ctx.Done():
				}
			}
			for drain && work.Err() == nil {
				select {
				case item := <-queue:
					l.work(work, item)
				default:
					return
				}
			}
		})
	}
	wg.Wait()
}
