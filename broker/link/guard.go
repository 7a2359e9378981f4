package link

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// MQTT 3.1.1 control packet types that a broker sends to this client (section
// 2.2.1), as the upper half of the first byte.
const (
	typeConnack    = 2
	typePublish    = 3
	typePuback     = 4
	typeSuback     = 9
	typeUnsuback   = 11
	typePingresp   = 13
	typeDisconnect = 14
)

// guard is the connection as the MQTT library sees it. It follows the frames
// that arrive and refuses, before the library has allocated or indexed
// anything, what a broker has no business sending: packets beyond the limit
// (the library would allocate up to 256 MiB), packets of the wrong length (a
// SUBACK with too many codes would panic it), refusals with codes that the
// library takes for a success. It bounds each write, for the library pings
// without a timeout, and reports the first failure with its true reason.
type guard struct {
	net.Conn
	fail     func(error)   // called with each error; the first one counts
	retiring atomic.Bool   // an UNSUBACK may come
	writing  chan struct{} // holds the writer: one at a time, or the next would extend the deadline of a stuck one

	// Owned by the reader.
	limit     int
	err       error // after a refused packet
	connected bool  // a CONNACK has been seen
	first     byte  // of the present packet
	shift     uint  // of the next byte of its length
	length    int   // of its remainder
	left      int   // bytes of the remainder still to come
	at        step
}

type step uint8

const (
	atFirst step = iota
	atLength
	atBody
)

func newGuard(conn net.Conn, limit int, fail func(error)) *guard {
	return &guard{Conn: conn, limit: limit, fail: fail, writing: make(chan struct{}, 1)}
}

func (g *guard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.Conn.Read(p)
	if bad := g.inspect(p[:n]); bad != nil {
		g.err = bad
		g.fail(bad)
		return 0, bad
	}
	if err != nil {
		g.failed("reading from", err)
	}
	return n, err
}

func (g *guard) Write(p []byte) (int, error) {
	g.writing <- struct{}{}
	defer func() { <-g.writing }()
	if err := g.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	n, err := g.Conn.Write(p)
	if err != nil {
		g.failed("writing to", err)
	}
	return n, err
}

// failed reports an error of the connection, but not that this end has closed
// it: whoever did that has the reason.
func (g *guard) failed(doing string, err error) {
	switch {
	case errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
	case errors.Is(err, io.EOF):
		g.fail(errEOF)
	default:
		g.fail(fmt.Errorf("%s the broker: %w", doing, err))
	}
}

// inspect follows the frames in b (MQTT 3.1.1 section 2.2).
func (g *guard) inspect(b []byte) error {
	for len(b) > 0 {
		switch g.at {
		case atFirst:
			g.first, g.length, g.shift, g.at = b[0], 0, 0, atLength
			b = b[1:]
		case atLength:
			g.length |= int(b[0]&0x7f) << g.shift
			g.shift += 7
			last := b[0]&0x80 == 0
			b = b[1:]
			if !last && g.shift > 21 {
				return g.bad("its length takes more than 4 bytes")
			}
			if last {
				if err := g.header(); err != nil {
					return err
				}
			}
		case atBody:
			n := min(g.left, len(b))
			if err := g.body(b[:n]); err != nil {
				return err
			}
			b = b[n:]
			if g.left -= n; g.left == 0 {
				g.at = atFirst
			}
		}
	}
	return nil
}

// header judges a packet by its type and length.
func (g *guard) header() error {
	g.left, g.at = g.length, atBody
	if g.length == 0 {
		g.at = atFirst
	}
	kind := g.first >> 4
	if !g.connected && kind != typeConnack {
		return g.bad("want a CONNACK first")
	}
	switch kind {
	case typeUnsuback:
		if g.retiring.Load() {
			return g.want(2)
		}
	case typeConnack:
		if g.connected {
			return g.bad("a second CONNACK")
		}
		g.connected = true
		return g.want(2)
	case typePublish:
		if qos := g.first >> 1 & 3; qos > 1 {
			return g.bad(fmt.Sprintf("QoS %d, want at most 1", qos))
		}
		if g.length > g.limit {
			return g.bad(fmt.Sprintf("%d bytes, want at most %d", g.length, g.limit))
		}
		return nil
	case typePuback:
		return g.want(2)
	case typeSuback:
		return g.want(3) // the identifier and one code, as each SUBSCRIBE has one filter
	case typePingresp:
		return g.want(0)
	case typeDisconnect:
		return errDisconnect
	}
	return g.bad("nothing that this client has asked for")
}

// body looks at the next bytes of a packet's remainder; only a CONNACK says
// something there that the library would not pass on.
func (g *guard) body(b []byte) error {
	if g.first>>4 != typeConnack || g.left > len(b) {
		return nil
	}
	if code := b[len(b)-1]; code != 0 {
		return &ConnectError{Code: code}
	}
	return nil
}

func (g *guard) want(length int) error {
	if g.length != length {
		return g.bad(fmt.Sprintf("%d bytes, want %d", g.length, length))
	}
	return nil
}

func (g *guard) bad(reason string) error {
	return &ProtocolError{Packet: g.first, Reason: reason}
}
