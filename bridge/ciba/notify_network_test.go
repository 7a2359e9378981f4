package ciba_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// A pipeListener accepts one connection.
type pipeListener struct {
	conn chan net.Conn
	done chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestNotificationStalls: a body that does not come holds the server up for ten
// seconds if who owes it has a token, and not at all if not. One that comes late
// but in time is taken.
func TestNotificationStalls(t *testing.T) {
	for name, tc := range map[string]struct {
		method, owner string
		pause         time.Duration
		status        int
		took          time.Duration
	}{
		"for ever":              {"POST", "s1", time.Hour, 400, 10 * time.Second},
		"for 9 seconds":         {"POST", "s1", 9 * time.Second, 204, 9 * time.Second},
		"not at all":            {"POST", "s1", 0, 204, 0},
		"for 11 seconds":        {"POST", "s1", 11 * time.Second, 400, 10 * time.Second},
		"without a token":       {"POST", "", time.Hour, 401, 0},
		"with another method":   {"PUT", "s1", time.Hour, 405, 0},
		"of an unknown sign-in": {"POST", "s9", time.Hour, 400, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := &cibatest.Provider{Delivery: "ping"}
				d := newDesk(t, op)
				ack := d.ring(t, "s1")
				there, here := net.Pipe()
				l := &pipeListener{conn: make(chan net.Conn, 1), done: make(chan struct{})}
				l.conn <- there
				server := &http.Server{Handler: d}
				go server.Serve(l)
				defer server.Close()

				body := fmt.Sprintf(`{"auth_req_id":%q}`, ack.AuthReqID)
				start := time.Now()
				written := make(chan struct{})
				go func() {
					defer close(written)
					token := "none"
					if tc.owner != "" {
						token = must(d.tokens.Mint(tc.owner))
					}
					fmt.Fprintf(here, "%s /notify HTTP/1.1\r\nHost: client.test\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
						tc.method, token, len(body), body[:5])
					time.Sleep(tc.pause)
					fmt.Fprint(here, body[5:]) // fails if nobody waits any more
				}()
				resp, err := http.ReadResponse(bufio.NewReader(here), nil)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.Close != (tc.status != 204) {
					t.Errorf("status %d ends the connection: %t", resp.StatusCode, resp.Close)
				}
				if took := time.Since(start); resp.StatusCode != tc.status || took != tc.took {
					t.Errorf("status %d after %v, want %d after %v", resp.StatusCode, took, tc.status, tc.took)
				}
				here.Close()
				<-written
			})
		})
	}
}
