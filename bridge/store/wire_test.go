package store_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/carillon-iot/carillon/bridge/store"
)

// A wire is what lies between a store and its server. It can be cut, and it can
// lose the answer to a commit.
type wire struct {
	loses atomic.Int32 // answers to commits

	mu    sync.Mutex // guards the rest
	cut   bool
	conns map[net.Conn]bool
}

// wired returns a new database behind a wire.
func wired(t testing.TB) (store.Postgres, *wire) {
	t.Helper()
	db := postgres(t)
	w := &wire{conns: make(map[net.Conn]bool)}
	db.Config.ConnConfig.DialFunc = w.dial
	return db, w
}

var errCut = errors.New("the wire is cut")

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		conn.Close()
		return nil, errCut
	}
	w.conns[conn] = true
	return wiredConn{conn, w}, nil
}

// setCut ends all connections and permits no new ones, or permits them again.
func (w *wire) setCut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	for conn := range w.conns {
		conn.Close()
	}
	clear(w.conns)
}

type wiredConn struct {
	net.Conn
	w *wire
}

// Write passes a commit on and, if its answer is to be lost, ends the connection
// when the server has answered.
func (c wiredConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil && bytes.Contains(b, []byte("commit\x00")) && c.w.loses.Add(-1) >= 0 {
		answer := make([]byte, 100)
		_, _ = c.Conn.Read(answer)
		c.Conn.Close()
	}
	return n, err
}
