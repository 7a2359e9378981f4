package pgtest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
)

// A Wire is what lies between a client and its server. It can be cut, and it can
// lose the answer to a commit. The zero Wire does neither.
type Wire struct {
	mu    sync.Mutex // guards the rest
	cut   bool
	lose  int // answers to commits
	conns map[net.Conn]bool
}

// ErrCut is why nothing can be dialled through a wire.
var ErrCut = errors.New("pgtest: the wire is cut")

// Dial connects, as a DialFunc of pgx.
func (w *Wire) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		conn.Close()
		return nil, ErrCut
	}
	if w.conns == nil {
		w.conns = make(map[net.Conn]bool)
	}
	w.conns[conn] = true
	return wireConn{conn, w}, nil
}

// Cut ends all connections at once, and permits no others until Mend.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for conn := range w.conns {
		conn.Close()
	}
	clear(w.conns)
}

// Mend undoes Cut.
func (w *Wire) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
}

// Lose has the answers to the next n commits lost, with their connections. It
// replaces what was to be lost before.
func (w *Wire) Lose(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = n
}

// loses reports whether the answer to a commit is to be lost.
func (w *Wire) loses() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lose == 0 {
		return false
	}
	w.lose--
	return true
}

type wireConn struct {
	net.Conn
	w *Wire
}

// Read ends the connection instead, if it would say that a transaction was
// committed and that answer is to be lost.
func (c wireConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && bytes.Contains(b[:n], []byte("COMMIT\x00")) && c.w.loses() {
		c.Conn.Close()
		return 0, net.ErrClosed
	}
	return n, err
}
