package brokertest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// bufferSize is what one direction of a pipe holds, like the send buffer of a
// socket. Without it, two ends that both write before they read would wait for
// each other for ever, which no network does.
const bufferSize = 64 << 10

// pipe returns the two ends of a connection in memory. Unlike those of
// [net.Pipe] they are buffered. They may be used in a testing/synctest bubble.
func pipe() (a, b net.Conn) {
	ab, ba := newBuffer(), newBuffer()
	return &end{in: ba, out: ab}, &end{in: ab, out: ba}
}

// end is one end of a pipe.
type end struct{ in, out *buffer }

func (e *end) Read(p []byte) (int, error)  { return e.in.read(p) }
func (e *end) Write(p []byte) (int, error) { return e.out.write(p) }

func (e *end) Close() error {
	e.in.close(net.ErrClosed, io.ErrClosedPipe)
	e.out.close(io.EOF, net.ErrClosed)
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error  { e.in.setDeadline(&e.in.readBy, t); return nil }
func (e *end) SetWriteDeadline(t time.Time) error { e.out.setDeadline(&e.out.writeBy, t); return nil }

func (e *end) SetDeadline(t time.Time) error {
	_ = e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}

func (e *end) LocalAddr() net.Addr  { return address{} }
func (e *end) RemoteAddr() net.Addr { return address{} }

// address is where a pipe leads.
type address struct{}

func (address) Network() string { return "memory" }
func (address) String() string  { return "memory" }

// buffer is one direction of a pipe.
type buffer struct {
	mu      sync.Mutex // guards everything below
	changed *sync.Cond
	bytes   []byte
	readErr error    // what a read gets when the bytes are used up; nil while open
	sendErr error    // what a write gets; nil while open
	readBy  deadline // of the reading end
	writeBy deadline // of the writing end
}

func newBuffer() *buffer {
	b := new(buffer)
	b.changed = sync.NewCond(&b.mu)
	return b
}

func (b *buffer) read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case b.readErr == net.ErrClosed: // this end has been closed, whatever is left
			return 0, net.ErrClosed
		case b.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(b.bytes) > 0:
			n := copy(p, b.bytes)
			b.bytes = b.bytes[n:]
			b.changed.Broadcast()
			return n, nil
		case b.readErr != nil:
			return 0, b.readErr
		}
		b.changed.Wait()
	}
}

func (b *buffer) write(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case b.sendErr != nil:
			return n, b.sendErr
		case b.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		}
		room := min(bufferSize-len(b.bytes), len(p)-n)
		b.bytes = append(b.bytes, p[n:n+room]...)
		if n += room; room > 0 {
			b.changed.Broadcast()
		}
		if n == len(p) {
			return n, nil
		}
		b.changed.Wait()
	}
}

// close ends the direction; the first reason for each side stays.
func (b *buffer) close(readErr, sendErr error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.readErr == nil || readErr == net.ErrClosed {
		b.readErr = readErr
	}
	if b.sendErr == nil {
		b.sendErr = sendErr
	}
	b.changed.Broadcast()
}

func (b *buffer) setDeadline(d *deadline, t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), b.wake)
	}
	b.changed.Broadcast()
}

func (b *buffer) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed.Broadcast()
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
