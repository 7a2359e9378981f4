package main

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// patience bounds what anything on this machine may take.
const patience = 20 * time.Second

func TestUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{"bad.toml": "max-client = 1\n", "worse.toml": "max-clients = \"many\"\n", "no.toml": "= ="} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := []string{"serve", "--cert=c", "--key=k", "--roots=r"}
	for name, c := range map[string]struct {
		args []string
		env  string
		code int
		want string
	}{
		"nothing":             {nil, "", 2, "USAGE"},
		"help":                {[]string{"--help"}, "", 0, "COMMANDS"},
		"help of serve":       {[]string{"serve", "-h"}, "", 0, "--max-clients number"},
		"version":             {[]string{"version"}, "", 0, "carillon-broker "},
		"version in JSON":     {[]string{"version", "--json"}, "", 0, `"version":`},
		"help of version":     {[]string{"version", "--help"}, "", 0, "which build"},
		"version of what":     {[]string{"version", "x"}, "", 2, `found "x"`},
		"unknown command":     {[]string{"sevre"}, "", 2, `no command "sevre"`},
		"unknown flag":        {[]string{"serve", "--lisen", "x"}, "", 2, "-lisen"},
		"no certificate":      {[]string{"serve"}, "", 2, "--cert"},
		"no key":              {[]string{"serve", "--cert=c"}, "", 2, "--key"},
		"no roots":            {[]string{"serve", "--cert=c", "--key=k"}, "", 2, "--roots"},
		"no revocations":      {files, "", 2, "no source of revocations"},
		"both":                {append(files, "--crl=x", "--without-revocation"), "", 2, "contradicts"},
		"authority":           {append(files, "--authority=http://a:1"), "", 2, `--authority: address of the authority "http://a:1", want https://host:port`},
		"no unit":             {append(files, "--crl=x", "--sweep-every=5"), "", 2, `"5" is not a duration such as`},
		"argument":            {append(files, "--crl=x", "extra"), "", 2, `unexpected argument "extra"`},
		"interval":            {append(files, "--crl=x", "--crl-every=-1s"), "", 2, "--crl-every is -1s"},
		"limit":               {append(files, "--crl=x", "--max-keep-alive=24h"), "", 2, "longest keep alive is 24h0m0s, want 5s to 12h"},
		"environment":         {append(files, "--crl=x"), "24h", 2, "longest keep alive"},
		"flag over the rest":  {append(files, "--crl=x", "--max-keep-alive=1m"), "24h", 1, "open c"},
		"unknown setting":     {append(files, "--config=bad.toml"), "", 2, `"max-client"`},
		"bad setting":         {append(files, "--config=worse.toml"), "", 2, `"max-clients"`},
		"no TOML":             {append(files, "--config=no.toml"), "", 2, "TOML"},
		"no such config file": {append(files, "--config=none.toml"), "", 2, "none.toml"},
		"no such certificate": {append(files, "--crl=x"), "", 1, "open c: no such file"},
	} {
		if c.env != "" {
			t.Setenv("CARILLON_BROKER_MAX_KEEP_ALIVE", c.env)
		} else {
			os.Unsetenv("CARILLON_BROKER_MAX_KEEP_ALIVE")
		}
		var out, errs bytes.Buffer
		code := run(t.Context(), c.args, &out, &errs)
		if code != c.code || !strings.Contains(out.String()+errs.String(), c.want) {
			t.Errorf("%s: exit status %d, want %d; output %q%q, want %q", name, code, c.code, &out, &errs, c.want)
		}
		if code == 0 && errs.Len() > 0 || code == 2 && out.Len() > 0 {
			t.Errorf("%s: output on the wrong stream", name)
		}
	}
}

func TestServe(t *testing.T) {
	authority := mtlstest.New(t)
	p := start(t, authority, "--ops=127.0.0.1:0", "--crl="+filepath.Join(t.TempDir(), "none"), "--crl-optional")
	addr := p.said("broker listening", "address")
	ops := "http://" + p.said("operations listening", "address")
	d := p.device(addr, "d1", authority.Device("d1"))
	if err := d.Publish(t.Context(), "carillon/v1/d1/up", []byte("x")); err != nil {
		t.Error(err)
	}
	body := get(t, ops+"/metrics")
	for _, want := range []string{"\ncarillon_broker_devices 1\n", "\ncarillon_broker_messages_in_total 1\n", "\ncarillon_broker_revocations_timestamp_seconds 0\n", "\ncarillon_broker_build_info{"} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %q:\n%s", want, body)
		}
	}
	// Alerts and dashboard ask for metrics that exist.
	asked := regexp.MustCompile(`carillon_broker_[a-z_]+`)
	for _, name := range []string{"alerts.yml", "grafana-dashboard.json"} {
		text, err := os.ReadFile("../../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, metric := range asked.FindAllString(string(text), -1) {
			if !strings.Contains(body, "\n"+metric+" ") && !strings.Contains(body, "\n"+metric+"{") {
				t.Errorf("docs/%s asks for %s, which is no metric", name, metric)
			}
		}
	}
	if get(t, ops+"/healthz") != "ok\n" {
		t.Error("not healthy")
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit status %d after an interrupt", code)
	}
	eventually(t, "the device notices the end", func() bool { return d.Status().State != link.Up })
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A certificate that is replaced on disk is shown to the next client; those who
// are connected stay.
func TestCertificateIsReloaded(t *testing.T) {
	authority := mtlstest.New(t)
	p := start(t, authority, "--without-revocation")
	addr := p.said("broker listening", "address")
	d := p.device(addr, "d1", authority.Device("d1"))
	shown := func() string {
		conn, err := tls.Dial("tcp", addr, p.config(authority.Device("d2")))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := shown()
	renewed := authority.Broker("localhost", "127.0.0.1")
	p.store(renewed)
	eventually(t, "the new certificate is shown", func() bool { return shown() != first })
	if s := d.Status(); s.Connections != 1 {
		t.Errorf("connected %d times", s.Connections)
	}
}

// A revocation ends the session of a connected device and refuses it from then
// on, whether the list is a file or on a server, in DER or in PEM.
func TestRevocation(t *testing.T) {
	for name, pemEncoded := range map[string]bool{"file": true, "server": false} {
		t.Run(name, func(t *testing.T) {
			authority := mtlstest.New(t)
			where := filepath.Join(t.TempDir(), "crl.pem")
			publish := func() {
				der := authority.CRL()
				if !pemEncoded {
					return
				}
				if err := mtls.WriteFile(where, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})); err != nil {
					t.Fatal(err)
				}
			}
			if !pemEncoded {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(authority.CRL()) }))
				t.Cleanup(server.Close)
				where = server.URL + "/crl"
			}
			publish()
			p := start(t, authority, "--crl="+where, "--crl-every=20ms", "--sweep-every=1h")
			addr := p.said("broker listening", "address")
			cert := authority.Device("d1")
			d, other := p.device(addr, "d1", cert), p.device(addr, "d2", authority.Device("d2"))
			authority.Revoke(cert.Leaf)
			publish()
			eventually(t, "the revoked device is refused", func() bool {
				s := d.Status()
				return s.State != link.Up && s.Err != nil && strings.Contains(s.Err.Error(), "certificate")
			})
			if s := other.Status(); s.Connections != 1 || s.State != link.Up {
				t.Errorf("another device: %+v", s)
			}
		})
	}
}

func TestStartFails(t *testing.T) {
	authority := mtlstest.New(t)
	foreign := mtlstest.New(t)
	p := start(t, authority, "--without-revocation")
	addr := p.said("broker listening", "address")
	p.writePEM("foreign.pem", "X509 CRL", foreign.CRL())
	other := mtls.Files{CertFile: p.path("bridge.crt"), KeyFile: p.path("bridge.key")}
	bridge := authority.Bridge("b1")
	if err := other.Store(bridge.PrivateKey.(crypto.Signer), []*x509.Certificate{bridge.Leaf}); err != nil {
		t.Fatal(err)
	}
	p.writePEM("empty.pem", "CERTIFICATE REQUEST", nil)
	base := []string{"serve", "--listen=127.0.0.1:0", "--cert=" + p.path("broker.crt"), "--key=" + p.path("broker.key"), "--roots=" + p.path("roots.pem")}
	refused := httptest.NewServer(http.NotFoundHandler())
	defer refused.Close()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"address in use":            {[]string{"--listen=" + addr, "--without-revocation"}, "--listen"},
		"operations address in use": {[]string{"--ops=" + addr, "--without-revocation"}, "--ops"},
		"another's list":            {[]string{"--crl=" + p.path("foreign.pem")}, "--crl: revocation list"},
		"no list":                   {[]string{"--crl=" + p.path("none.pem")}, "no such file"},
		"not a list":                {[]string{"--crl=" + p.path("empty.pem")}, "X509 CRL"},
		"no list on the server":     {[]string{"--crl=" + refused.URL}, "404"},
		"no authority":              {[]string{"--authority=https://127.0.0.1:1"}, "--authority: fetching the revocation list"},
		"roots":                     {[]string{"--without-revocation", "--roots=" + p.path("empty.pem")}, "--roots"},
		"issuers":                   {[]string{"--crl=" + p.path("crl.pem"), "--crl-issuers=" + p.path("empty.pem")}, "--crl-issuers"},
		"another role":              {[]string{"--without-revocation", "--cert=" + p.path("bridge.crt"), "--key=" + p.path("bridge.key")}, `urn:carillon:bridge:b1, want one of the role "broker"`},
		"key of another":            {[]string{"--without-revocation", "--key=" + p.path("roots.pem")}, "--cert, --key"},
	} {
		var out bytes.Buffer
		code := run(t.Context(), append(base[:len(base):len(base)], c.args...), io.Discard, &out)
		if code != 1 || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: exit status %d, output %q, want %q", name, code, &out, c.want)
		}
	}
}
