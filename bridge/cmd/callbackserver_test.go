package cmd

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of connections in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// dial returns the other end of a connection that says something.
func (p *pipes) dial(said string) net.Conn {
	mine, its := net.Pipe()
	p.conns <- its
	go io.WriteString(mine, said)
	return mine
}

var silent = slog.New(slog.DiscardHandler)

// Connections that say nothing, or nothing more, or are slow to, are let go.
func TestCallbackLetsGo(t *testing.T) {
	for name, said := range map[string]string{
		"nothing":        "",
		"half a request": "POST /ciba/notification HT",
		"half a body":    "POST /ciba/notification HTTP/1.1\r\nHost: b\r\nContent-Length: 1000\r\n\r\nabc",
		"a request":      "POST /ciba/notification HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				read := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
				server := callbackServer(read, silent)
				go server.Serve(l)
				defer server.Close()
				c := l.dial(said)
				defer c.Close()
				_ = c.SetReadDeadline(time.Now().Add(2 * time.Minute))
				if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("after two minutes the connection is open")
				}
			})
		})
	}
}

// A notification that is on its way when the bridge stops is taken; one that
// takes for ever holds nobody up.
func TestCallbackDrains(t *testing.T) {
	for name, c := range map[string]struct {
		work, stop time.Duration
		answered   bool
	}{
		"soon":     {3 * time.Second, 3 * time.Second, true},
		"too late": {time.Hour, callbackDrain, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				over := make(chan struct{})
				server := callbackServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					select {
					case <-time.After(c.work):
					case <-over:
					}
					w.WriteHeader(http.StatusNoContent)
				}), silent)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- serveUntil(ctx, server, l) }()
				conn := l.dial("POST /ciba/notification HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n")
				defer conn.Close()
				synctest.Wait()
				stop()
				begun := time.Now()
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if answered := err == nil && resp.StatusCode == http.StatusNoContent; answered != c.answered {
					t.Errorf("answered: %t, %v", answered, err)
				}
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if took := time.Since(begun); took < c.stop || took > c.stop+time.Second {
					t.Errorf("stopped after %v, want %v", took, c.stop)
				}
				close(over)
			})
		})
	}
}
