package link

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// inbox decouples the MQTT read loop, which must never wait, from the handler,
// which may.
type inbox struct {
	queue    chan message
	handle   func(topic string, payload []byte)
	logger   *slog.Logger
	received atomic.Uint64
	dropped  atomic.Uint64
	full     atomic.Bool // the last message was dropped: say so once, not for each
}

type message struct {
	topic   string
	payload []byte
	from    *session
}

func newInbox(size int, handle func(string, []byte), logger *slog.Logger) *inbox {
	return &inbox{queue: make(chan message, size), handle: handle, logger: logger}
}

// put never blocks.
func (i *inbox) put(m message) {
	i.received.Add(1)
	select {
	case i.queue <- m:
		i.full.Store(false)
	default:
		n := i.dropped.Add(1)
		if !i.full.Swap(true) {
			i.logger.Warn("the handler is too slow, dropping messages", "queue", cap(i.queue), "dropped", n)
		}
	}
}

// work calls the handler until ctx ends.
func (i *inbox) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-i.queue:
			// A message may overtake the last SUBACK; its handler shall be
			// able to publish the answer.
			select {
			case <-ctx.Done():
				return
			case <-m.from.up:
			case <-m.from.done:
			}
			if ctx.Err() != nil {
				return
			}
			i.handle(m.topic, m.payload)
		}
	}
}
