package ciba_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// These tests use real connections on loopback: they are about what happens
// below HTTP.

var discard = log.New(io.Discard, "", 0)

// server runs op behind TLS and returns it with a client for it.
func server(t testing.TB, op *cibatest.Provider, edit func(*httptest.Server)) (*httptest.Server, *http.Client) {
	t.Helper()
	s := httptest.NewUnstartedServer(op)
	if edit != nil {
		edit(s)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	op.Issuer = s.URL
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	hc := ciba.NewHTTPClient(&tls.Config{RootCAs: pool})
	t.Cleanup(hc.CloseIdleConnections)
	return s, hc
}

func networkClient(t testing.TB, op *cibatest.Provider, hc *http.Client) *ciba.Client {
	t.Helper()
	return newClient(t, op, func(cfg *ciba.Config) { cfg.HTTPClient = hc })
}

// signInNow signs in without waiting for the interval, as the person has already
// agreed.
func signInNow(tb testing.TB, client *ciba.Client) {
	tb.Helper()
	ack := ring(tb, client, anna())
	if _, err := client.RequestToken(tb.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID}); err != nil {
		tb.Fatal(err)
	}
}

// TestConnectionsAreReused counts connections: one for requests that follow each
// other and for any number at once over HTTP/2, and over HTTP/1.1 as many as
// there ever were requests at once.
func TestConnectionsAreReused(t *testing.T) {
	const atOnce = 20
	for _, tc := range []struct {
		name        string
		http2       bool
		waves, size int
		want        int32
	}{
		{"HTTP/1.1 one by one", false, 10, 1, 1},
		{"HTTP/1.1 at once", false, 3, atOnce, atOnce},
		{"HTTP/2 one by one", true, 10, 1, 1},
		{"HTTP/2 at once", true, 3, atOnce, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var connections atomic.Int32
			var gate atomic.Bool
			arrived, leave := make(chan struct{}), make(chan struct{})
			op := quick()
			op.OnRequest = func(cibatest.Request) {
				if gate.Load() {
					arrived <- struct{}{}
					<-leave
				}
			}
			_, hc := server(t, op, func(s *httptest.Server) {
				s.EnableHTTP2 = tc.http2
				s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
					if state == http.StateNew {
						connections.Add(1)
					}
				}
			})
			client := networkClient(t, op, hc)
			signInNow(t, client)
			gate.Store(true)
			for range tc.waves {
				var wave sync.WaitGroup
				for range tc.size {
					wave.Go(func() {
						ack, err := client.RequestAuthentication(t.Context(), anna())
						if err == nil {
							_, err = client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
						}
						if err != nil {
							t.Error(err)
						}
					})
				}
				for range tc.size {
					<-arrived // nobody is answered before all are there
				}
				for range tc.size {
					leave <- struct{}{}
				}
				wave.Wait()
			}
			if n := connections.Load(); n != tc.want {
				t.Errorf("%d connections, want %d", n, tc.want)
			}
		})
	}
}

// TestUnsentIsNotInterrupted: without a connection nothing can have rung, and
// the difference decides whether a request may be repeated.
func TestUnsentIsNotInterrupted(t *testing.T) {
	op := quick()
	s, hc := server(t, op, nil)
	client := networkClient(t, op, hc)
	signInNow(t, client)
	s.CloseClientConnections()
	s.Listener.Close()
	hc.CloseIdleConnections()
	_, err := client.RequestAuthentication(t.Context(), anna())
	wantClasses(t, err, ciba.ErrUnavailable)
}

// TestResetIsInterrupted: the provider had the request.
func TestResetIsInterrupted(t *testing.T) {
	op := quick()
	op.Backchannel = cibatest.Always(cibatest.Lose())
	_, hc := server(t, op, func(s *httptest.Server) { s.Config.ErrorLog = discard })
	_, err := networkClient(t, op, hc).RequestAuthentication(t.Context(), anna())
	wantClasses(t, err, ciba.ErrUnavailable, ciba.ErrInterrupted)
	if s := op.Stats(); s.Backchannel != 1 || s.Rang != 1 {
		t.Errorf("provider saw %+v, want one request that rang", s)
	}
}

// TestAnswersThatGrow: ours are not compressed, and one that a caller's client
// unpacks is read as far as it may be long.
func TestAnswersThatGrow(t *testing.T) {
	op := quick()
	asked := make(chan string, 2)
	op.Backchannel = cibatest.Always(func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		asked <- r.Header.Get("Accept-Encoding")
		cibatest.Gzip(32<<20)(w, r, truth)
	})
	_, hc := server(t, op, nil)
	_, err := networkClient(t, op, hc).RequestAuthentication(t.Context(), anna())
	wantClasses(t, err, ciba.ErrProtocol)
	if got := <-asked; got != "" {
		t.Errorf("Accept-Encoding is %q, want none", got)
	}
	foreign := hc.Transport.(*http.Transport).Clone()
	foreign.DisableCompression = false
	defer foreign.CloseIdleConnections()
	_, err = networkClient(t, op, &http.Client{Transport: foreign}).RequestAuthentication(t.Context(), anna())
	if wantClasses(t, err, ciba.ErrProtocol); !strings.Contains(err.Error(), "more than 65536 bytes") || <-asked != "gzip" {
		t.Errorf("error is %v", err)
	}
}

// TestForeignClientIsTamed: a client that would follow redirects and keep
// cookies is not allowed to, and is not changed either.
func TestForeignClientIsTamed(t *testing.T) {
	op := quick()
	op.Backchannel = cibatest.Always(cibatest.Redirect(307, "/token"))
	_, hc := server(t, op, nil)
	foreign := &http.Client{Transport: hc.Transport}
	_, err := networkClient(t, op, foreign).RequestAuthentication(t.Context(), anna())
	wantClasses(t, err, ciba.ErrProtocol)
	if op.Stats().Token != 0 {
		t.Error("the redirect was followed, with credentials")
	}
	if foreign.CheckRedirect != nil {
		t.Error("the caller's client was changed")
	}
}

// TestNotHTTP: what answers is no HTTP server, and what it says is not repeated.
func TestNotHTTP(t *testing.T) {
	for _, answer := range []string{
		"eyJzZWNyZXQi\r\n\r\n",
		"HTTP/1.1 2x0 eyJzZWNyZXQi\r\n\r\n",
		"HTTP/1.1 200 OK\r\neyJzZWNyZXQi\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: eyJzZWNyZXQi\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: eyJzZWNyZXQi\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: eyJzZWNyZXQi\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\"x\\\" eyJzZWNyZXQi\": 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\neyJzZWNyZXQi\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\neyJzZWNyZXQi\r\n\r\n",
	} {
		listener := must(net.Listen("tcp", "127.0.0.1:0"))
		defer listener.Close()
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				conn.Read(make([]byte, 4096))
				io.WriteString(conn, answer)
				conn.Close()
			}
		}()
		client, err := ciba.New(ciba.Config{
			Issuer:            "http://" + listener.Addr().String(),
			ClientID:          "c",
			Auth:              ciba.ClientSecretBasic("s"),
			InsecureAllowHTTP: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.RequestAuthentication(t.Context(), anna())
		wantClasses(t, err, ciba.ErrUnavailable)
		if strings.Contains(err.Error(), "eyJ") {
			t.Errorf("error repeats the answer: %v", err)
		}
	}
}
