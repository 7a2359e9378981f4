package broker

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// errSlow is for a client that does not take what is sent to it.
var errSlow = errors.New("it does not take its messages")

// outbox takes what the MQTT library writes to one client and returns at once.
//
// The library holds a client's lock while it writes to it, and takes the same
// lock in the goroutine of whoever publishes to that client. A single device
// that does not read would so stop the bridge that answers it, and with it every
// other device. Behind an outbox it only fills its own, and is disconnected.
//
// A goroutine exists only while there is something to write; what has piled up
// meanwhile goes out in one piece.
type outbox struct {
	to      net.Conn
	limit   int           // bytes that may wait
	timeout time.Duration // of one write
	fail    func(error)   // called once, from any goroutine

	mu      sync.Mutex // guards the fields below, for moments only
	waiting []byte
	spare   []byte // empty, of the capacity of an earlier waiting
	busy    bool   // flush is running
	closed  bool
	flushes sync.WaitGroup // of flush; not added to after closed
}

// keepSpare bounds the capacity that an idle client's outbox keeps.
const keepSpare = 4 << 10

func (o *outbox) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, net.ErrClosed
	}
	if len(o.waiting)+len(p) > o.limit {
		o.closed = true
		err := fmt.Errorf("%w: more than %d bytes wait", errSlow, o.limit)
		o.fail(err)
		return 0, err
	}
	o.waiting = append(o.waiting, p...)
	if !o.busy {
		o.busy = true
		o.flushes.Go(o.flush)
	}
	return len(p), nil
}

// flush writes until nothing waits.
func (o *outbox) flush() {
	for {
		out := o.take()
		if out == nil {
			return
		}
		err := o.to.SetWriteDeadline(time.Now().Add(o.timeout))
		if err == nil {
			_, err = o.to.Write(out)
		}
		if err != nil {
			o.close()
			o.fail(fmt.Errorf("%w: %w", errSlow, err))
			return
		}
		o.putBack(out)
	}
}

// take returns what waits, or nil when flush is over.
func (o *outbox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		o.busy = false
		return nil
	}
	out := o.waiting
	o.waiting, o.spare = o.spare, nil
	return out
}

func (o *outbox) putBack(out []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if cap(out) <= keepSpare {
		o.spare = out[:0]
	}
}

func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}

// drain refuses further writes and waits until what has been written before is
// out, for as long as one write may take.
func (o *outbox) drain() {
	o.close()
	o.flushes.Wait()
}
