package wiretap

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/carillon-iot/carillon/schemas"
)

// conn is the device's end. One goroutine may read while another writes, as
// with any net.Conn.
type conn struct {
	net.Conn
	tap *Tap
	cut atomic.Bool

	writing sync.Mutex // guards up: several may write
	up      splitter

	reading sync.Mutex // guards what follows
	down    splitter
	ready   []byte // whole packets that the device has not read yet
	err     error  // what ended the reading, to be told when ready is empty
	scratch [4096]byte
}

// Write tells of the packets that b completes and then sends it, in this order,
// so that no answer is seen before its question. What the device handed to a
// dead connection is counted too: nobody can tell how far it came.
func (c *conn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.up.way = schemas.Up
	if err := c.up.feed(b, func(_ []byte, p Packet) { c.tap.pass(p) }); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	return n, c.mask(err)
}

// errCut is what the device sees of a connection that was cut: not that its own
// end was closed, which it would take for its own doing.
var errCut = errors.New("connection reset by the tunnel")

func (c *conn) mask(err error) error {
	if err != nil && c.cut.Load() {
		return errCut
	}
	return err
}

// Read returns bytes of packets that are complete and not lost.
func (c *conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	c.down.way = schemas.Down
	for len(c.ready) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

// fill reads once. A time-out is returned and forgotten: the next Read may do
// better. Whatever else ends the reading is kept for when ready is empty.
func (c *conn) fill() error {
	n, err := c.Conn.Read(c.scratch[:])
	bad := c.down.feed(c.scratch[:n], func(raw []byte, p Packet) {
		if c.tap.pass(p) {
			c.ready = append(c.ready, raw...)
		}
	})
	if bad != nil {
		c.err = bad
		return nil
	}
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		if len(c.ready) > 0 {
			return nil
		}
		return err
	}
	if err != nil {
		c.ready = append(c.ready, c.down.buf...) // half a packet, then the end
		c.down.buf = nil
		c.err = c.mask(err)
	}
	return nil
}

// Close closes the connection.
func (c *conn) Close() error {
	c.tap.closed(c)
	return c.Conn.Close()
}
