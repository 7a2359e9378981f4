package cibatest

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"syscall"
)

// A Wire serves one connection in place of the provider: a fault below HTTP. The
// connection is closed when it returns.
type Wire func(c *Conn)

// Wires chooses what happens to the connection number n, counted from 0: it is
// refused if ok is false, and served as it should be if the Wire is nil.
type Wires func(n int) (w Wire, ok bool)

// EachWire is the same for all connections from number n on.
func EachWire(n int, w Wire) Wires {
	return func(i int) (Wire, bool) {
		if i < n {
			return nil, true
		}
		return w, true
	}
}

// OneWire is for the connection number n alone.
func OneWire(n int, w Wire) Wires {
	return func(i int) (Wire, bool) {
		if i != n {
			return nil, true
		}
		return w, true
	}
}

// Unreachable refuses the connections from number n on, up to but not including
// number end; 0 for no end.
func Unreachable(n, end int) Wires {
	return func(i int) (Wire, bool) { return nil, i < n || end > 0 && i >= end }
}

// A Conn is the provider's end of a connection.
type Conn struct {
	net.Conn
	// Config is what the provider says in the handshake of TLS. A Wire may change
	// it.
	Config *tls.Config

	op *Provider
}

// Serve is the truth: HTTP in TLS, until the client closes the connection.
func (c *Conn) Serve() { c.serve(tls.Server(c.Conn, c.Config)) }

func (c *Conn) serve(conn net.Conn) {
	ended := make(chan struct{})
	s := &http.Server{
		Handler:  c.op,
		ErrorLog: log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(ended)
			}
		},
	}
	s.Serve(&only{conn: conn}) // fails at once: there is no second connection
	<-ended
}

// An only listener accepts one connection.
type only struct{ conn net.Conn }

func (l *only) Accept() (net.Conn, error) {
	c := l.conn
	if l.conn = nil; c == nil {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l *only) Close() error   { return nil }
func (l *only) Addr() net.Addr { return &net.TCPAddr{} }

// DialContext connects to the provider through memory, whatever the address,
// with Wires between. It is for an [http.Transport] that trusts Roots, and works
// in a testing/synctest bubble; the provider's side ends when the client closes
// the connection.
func (p *Provider) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	n := p.stats.Connections
	p.stats.Connections++
	p.mu.Unlock()
	var wire Wire
	if p.Wires != nil {
		w, ok := p.Wires(n)
		if !ok {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		wire = w
	}
	if wire == nil {
		wire = (*Conn).Serve
	}
	there, here := pipe()
	c := &Conn{Conn: there, Config: p.authority().config(p.host(), nil), op: p}
	go func() {
		defer there.Close()
		wire(c)
	}()
	return here, nil
}
