package cmd_test

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// providerFlags are the settings that are about the provider alone.
func (w *world) providerFlags(more ...string) []string {
	all := w.flags()
	out := []string{"provider", "check"}
	for _, name := range []string{"issuer", "client-id", "client-secret-file", "provider-roots"} {
		out = append(out, "--"+name+"="+all[name])
	}
	return append(out, more...)
}

// knowsAnna is a provider that knows one person.
func knowsAnna() *cibatest.Provider {
	return &cibatest.Provider{
		Subject:     func(hint string) (string, bool) { return "anna-7", hint == "anna@example.com" },
		AutoApprove: time.Millisecond, Interval: time.Second,
	}
}

// A provider is checked over TLS with nothing but its own settings, and nobody
// is rung unless they are named.
func TestProviderCheck(t *testing.T) {
	w := newWorld(t, knowsAnna())
	code, out, errs := w.main(w.providerFlags()...)
	if code != 0 || errs != "" || !contains(out, "ok       connection", "TLS 1.3", "ok       client", "ok       request") {
		t.Errorf("exit status %d\n%s%s", code, out, errs)
	}
	if s := w.op.Stats(); s.Rang != 0 {
		t.Errorf("a phone rang: %+v", s)
	}
	code, out, errs = w.main(w.providerFlags("--ring", "anna@example.com")...)
	if code != 0 || !contains(out, "the phone should ring", "approved after") || contains(out+errs, "anna@") {
		t.Errorf("exit status %d\n%s%s", code, out, errs)
	}
	if s := w.op.Stats(); s.Rang != 1 {
		t.Errorf("%d phones rang, want 1", s.Rang)
	}
}

// What fails is said with what to do, in words and in JSON, and by the exit
// status.
func TestProviderCheckFails(t *testing.T) {
	w := newWorld(t, knowsAnna())
	w.write("secret", "another secret\n")
	code, out, errs := w.main(w.providerFlags("--provider-profile=keycloak")...)
	if code != 1 || !contains(out, "failed   client", "-> Clients > your client > Credentials") || !contains(errs, "1 of 10 checks failed") {
		t.Errorf("exit status %d\n%s%s", code, out, errs)
	}
	code, out, _ = w.main(w.providerFlags("--json")...)
	var said struct {
		Issuer   string
		OK       bool
		Findings []struct{ Check, Status, Found, Advice string }
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	failed := slices.IndexFunc(said.Findings, func(f struct{ Check, Status, Found, Advice string }) bool { return f.Status == "failed" })
	if code != 1 || said.OK || said.Issuer != w.op.Issuer || failed < 0 || said.Findings[failed].Check != "client" || said.Findings[failed].Advice == "" {
		t.Errorf("exit status %d: %s", code, out)
	}
}

// A client with a certificate shows it in every request, the first included.
func TestProviderCheckByCertificate(t *testing.T) {
	op, bare := knowsAnna(), new(atomic.Int32)
	op.ClientCertificate = func(*x509.Certificate) bool { return true }
	op.Discovery = cibatest.Always(func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		if len(r.TLS.PeerCertificates) == 0 {
			bare.Add(1)
		}
		truth(w, r)
	})
	w := newWorld(t, op)
	w.store("client", w.ca.Server("client.example.com"))
	flags := []string{"provider", "check", "--issuer=" + w.op.Issuer, "--client-id=" + cibatest.ClientID, "--client-auth=tls",
		"--client-cert=" + w.path("client.crt"), "--client-key=" + w.path("client.key"), "--provider-roots=" + w.path("roots.pem")}
	if code, out, errs := w.main(flags...); code != 0 || bare.Load() != 0 {
		t.Errorf("exit status %d, %d requests without a certificate\n%s%s", code, bare.Load(), out, errs)
	}
}

func TestProviderUsage(t *testing.T) {
	w := newWorld(t, knowsAnna())
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"provider"}, "a command is missing after provider: check"},
		{[]string{"provider", "chek"}, `no command "chek"`},
		{[]string{"provider", "check"}, "--issuer is missing"},
		{[]string{"provider", "check", "--issuer=https://op.example.com"}, "--client-id is missing"},
		{w.providerFlags("now"), "takes no arguments"},
		{w.providerFlags("--provider-profile=okto"), `"okto" is not one of`},
	} {
		if code, _, errs := w.main(c.args...); code != 2 || !contains(errs, c.says) {
			t.Errorf("%q: exit status %d, said %q, want %q", c.args, code, errs, c.says)
		}
	}
	if code, out, _ := w.main("provider", "check", "--help"); code != 0 || !contains(out, "--ring", "EXAMPLES") {
		t.Errorf("--help: exit status %d, said %q", code, out)
	}
}
