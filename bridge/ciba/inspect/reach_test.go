package inspect_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/ciba/inspect"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// TestConnection: every way in which a provider is not reached is told from the
// others, over real sockets.
func TestConnection(t *testing.T) {
	ca := mtlstest.New(t)
	until := func(life time.Duration) *tls.Certificate {
		return ca.Issue(mtlstest.Leaf{
			Identity: mtls.Identity{Role: mtls.RoleServer, ID: "server"},
			Hosts:    []string{"127.0.0.1"}, NotAfter: time.Now().Add(life),
		})
	}
	for _, c := range []struct {
		name          string
		serve         *tls.Certificate
		trusting      bool
		issuer        func(string) string
		status        inspect.Status
		found, advice string
	}{
		{"good", ca.Server("127.0.0.1"), true, nil, inspect.OK, "TLS 1.3", ""},
		{"ends soon", until(48 * time.Hour), true, nil, inspect.Warning, "good until", "renewed"},
		{"unknown root", ca.Server("127.0.0.1"), false, nil, inspect.Failed, "signed by nobody who is trusted", "provider-roots"},
		{"other name", ca.Server("op.example.com"), true, nil, inspect.Failed, "another host", "issuer"},
		{"expired", until(-time.Hour), true, nil, inspect.Failed, "expired", "clock"},
		{"no TLS", nil, true, nil, inspect.Failed, "does not speak TLS", "port"},
		{"nobody there", ca.Server("127.0.0.1"), true, func(string) string { return "https://" + unusedAddress(t) }, inspect.Failed, "refused", "network"},
		{"no such host", ca.Server("127.0.0.1"), true, func(string) string { return "https://op.invalid" }, inspect.Failed, `host name "op.invalid"`, "spelling"},
	} {
		t.Run(c.name, func(t *testing.T) {
			op := known(nil)
			server := httptest.NewUnstartedServer(op)
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // what is refused is meant to be
			if c.serve == nil {
				server.Start()
			} else {
				server.TLS = &tls.Config{Certificates: []tls.Certificate{*c.serve}}
				server.StartTLS()
			}
			defer server.Close()
			op.Issuer = "https://" + server.Listener.Addr().String()
			if c.issuer != nil {
				op.Issuer = c.issuer(op.Issuer)
			}
			config := &tls.Config{MinVersion: tls.VersionTLS12}
			if c.trusting {
				config.RootCAs = ca.Roots()
			}
			f := connectionOf(t, op, ciba.NewHTTPClient(config))
			if f.Status != c.status || !strings.Contains(f.Found, c.found) || !strings.Contains(f.Advice, c.advice) {
				t.Errorf("found %+v, want %s, %q and %q", f, c.status, c.found, c.advice)
			}
		})
	}
}

func connectionOf(t *testing.T, op *cibatest.Provider, hc *http.Client) inspect.Finding {
	t.Helper()
	client, err := ciba.New(ciba.Config{
		Issuer: op.IssuerURL(), ClientID: cibatest.ClientID,
		Auth: ciba.ClientSecretBasic(cibatest.ClientSecret), HTTPClient: hc,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range inspect.Run(t.Context(), inspect.Config{Client: client, HTTPClient: hc}) {
		if f.Check == inspect.Connection {
			return f
		}
	}
	t.Fatal("nothing was found about the connection")
	return inspect.Finding{}
}

// unusedAddress returns an address at which nobody listens.
func unusedAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
