package ciba_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
)

// benchPeer, in the environment, makes the test binary the provider of the
// benchmarks; its value is "1.1" or "2", a version of HTTP.
const benchPeer = "CARILLON_CIBA_BENCH_PEER"

func TestMain(m *testing.M) {
	if version := os.Getenv(benchPeer); version != "" {
		serveBenchPeer(version)
		return
	}
	os.Exit(m.Run())
}

// A peerAddress is what the provider of the benchmarks says of itself, as one
// line of JSON on standard output.
type peerAddress struct {
	Issuer      string
	Certificate []byte // DER
}

// serveBenchPeer serves a provider whose people agree at once, over TLS on
// loopback, until standard input ends.
func serveBenchPeer(version string) {
	op := quick()
	s := httptest.NewUnstartedServer(op)
	s.EnableHTTP2 = version == "2"
	s.StartTLS()
	defer s.Close()
	op.Issuer = s.URL
	json.NewEncoder(os.Stdout).Encode(peerAddress{op.Issuer, s.Certificate().Raw})
	io.Copy(io.Discard, os.Stdin)
}

// startBenchPeer starts the provider in a process of its own, so that what this
// process spends is the client's alone. It returns an HTTP client that trusts it.
func startBenchPeer(b *testing.B, version string) (issuer string, hc *http.Client) {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), benchPeer+"="+version)
	cmd.Stderr = os.Stderr
	stdin, stdout := must(cmd.StdinPipe()), must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			b.Errorf("provider: %v", err)
		}
	})
	var peer peerAddress
	if err := json.NewDecoder(stdout).Decode(&peer); err != nil {
		b.Fatalf("provider did not start: %v", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(must(x509.ParseCertificate(peer.Certificate)))
	hc = ciba.NewHTTPClient(&tls.Config{RootCAs: pool})
	b.Cleanup(hc.CloseIdleConnections)
	return peer.Issuer, hc
}
