package ops_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ops"
)

// pipes is a listener of connections in memory.
type pipes chan net.Conn

func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }
func (p pipes) Close() error   { return nil }
func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

// Connections that say nothing, or nothing more, or are slow to, are let go.
func TestLetsGo(t *testing.T) {
	for name, said := range map[string]string{
		"nothing":        "",
		"half a request": "GET /healthz HT",
		"half a body":    "POST /healthz HTTP/1.1\r\nHost: b\r\nContent-Length: 1000\r\n\r\nabc",
		"a request":      "GET /healthz HTTP/1.1\r\nHost: b\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := make(pipes)
				server := ops.Server(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
				go server.Serve(l)
				mine, its := net.Pipe()
				defer func() { close(l); mine.Close(); server.Close() }()
				l <- its
				go io.WriteString(mine, said)
				_ = mine.SetReadDeadline(time.Now().Add(2 * time.Minute))
				if _, err := io.Copy(io.Discard, bufio.NewReader(mine)); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("after two minutes the connection is open: %v", err)
				}
			})
		})
	}
}
