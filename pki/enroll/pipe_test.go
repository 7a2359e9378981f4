package enroll_test

import (
	"net"
	"sync"
	"time"
)

// bufferedPipe is net.Pipe with room for what has been written. TLS says goodbye
// under net/http's locks: without room both ends wait for each other, on locks,
// which stops the clock of a synctest bubble for good.
func bufferedPipe() (net.Conn, net.Conn) {
	a, b := net.Pipe()
	return newBuffered(a), newBuffered(b)
}

type buffered struct {
	net.Conn
	queue chan []byte
	once  sync.Once
	mu    sync.Mutex // guards shut, and the queue against being closed while in use
	shut  bool
}

func newBuffered(c net.Conn) *buffered {
	b := &buffered{Conn: c, queue: make(chan []byte, 1024)}
	go func() {
		for p := range b.queue {
			_, _ = c.Write(p)
		}
		_ = c.Close()
	}()
	return b
}

func (b *buffered) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shut {
		return 0, net.ErrClosed
	}
	select {
	case b.queue <- append([]byte(nil), p...):
		return len(p), nil
	default:
		return 0, net.ErrClosed // nobody reads any more
	}
}

func (b *buffered) Close() error {
	b.once.Do(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.shut = true
		_ = b.Conn.SetWriteDeadline(time.Now().Add(time.Second)) // for the rest of the queue
		close(b.queue)
	})
	return nil
}

// A deadline for writing is kept by never waiting; the queue has none.
func (b *buffered) SetWriteDeadline(time.Time) error { return nil }
func (b *buffered) SetDeadline(t time.Time) error    { return b.Conn.SetReadDeadline(t) }
