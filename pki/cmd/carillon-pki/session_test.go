package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// A device's whole life, as the operator and the device type it.
func TestSession(t *testing.T) {
	p := newPlace(t)
	stop := p.serve(t)
	work := t.TempDir()
	in := func(name string) string { return filepath.Join(work, name) }

	var made struct{ ID, Identity, Token string }
	if err := json.Unmarshal([]byte(ok(t, "token", "--dir", p.dir, "device", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	if len(made.ID) != 16 || made.Identity != "urn:carillon:device:"+made.ID {
		t.Errorf("a new device is called %q, %q", made.ID, made.Identity)
	}
	r := carillon(t, made.Token+"\n", "enroll", "--token-file", "-", "--cert", in("d.crt"), "--key", in("d.key"), "--root", in("root.crt"))
	if r.code != 0 || !strings.Contains(r.out, made.Identity+" until ") {
		t.Fatalf("enroll: %+v", r)
	}
	if again := ok(t, "enroll", "--cert", in("d.crt"), "--key", in("d.key")); again != r.out {
		t.Errorf("enrolling again: %q, want %q", again, r.out)
	}
	kept := carillon(t, "", "enroll", "--token", "unused", "--cert", in("d.crt"), "--key", in("d.key"))
	if kept.code != 0 || kept.out != r.out || !strings.Contains(kept.err, "the token was not used") || !strings.Contains(kept.err, in("d.crt")) {
		t.Errorf("enrolling again with a token: %+v", kept)
	}
	if root, want := read(t, in("root.crt")), ok(t, "root", "--dir", p.dir); root != want {
		t.Error("the root that enroll stored is not the root")
	}
	renew := []string{"renew", "--url", p.url, "--root", in("root.crt"), "--cert", in("d.crt"), "--key", in("d.key")}
	if out := ok(t, append(renew, "--after", "echo told > "+in("after"))...); out == r.out || !strings.Contains(out, made.Identity) {
		t.Errorf("renew: %q", out)
	}
	if read(t, in("after")) != "told\n" {
		t.Error("--after was not run")
	}
	if list := ok(t, "list", "--dir", p.dir); strings.Count(list, made.ID) != 2 || strings.Contains(list, "revoked") {
		t.Errorf("list:\n%s", list)
	}
	if out := ok(t, "revoke", "--dir", p.dir, "device", made.ID, "--note", "stolen"); len(strings.Fields(out)) != 4 { // revoked certificates: one and its successor
		t.Errorf("revoke: %q", out)
	}
	if out := ok(t, "revoke", "--dir", p.dir, "device", made.ID); !strings.Contains(out, "no certificate left") {
		t.Errorf("revoke again: %q", out)
	}
	fails(t, 1, renew, "401", "revoked")
	var holders []pki.Holder
	if err := json.Unmarshal([]byte(ok(t, "list", "--dir", p.dir, "device", made.ID, "--json")), &holders); err != nil || len(holders) != 1 || holders[0].Note != "stolen" {
		t.Errorf("list --json: %+v, %v", holders, err)
	}
	ok(t, "reinstate", "--dir", p.dir, "device", made.ID)
	token := ok(t, "token", "--dir", p.dir, "device", made.ID)
	fails(t, 1, []string{"enroll", "--token", strings.TrimSpace(token), "--cert", in("e.crt"), "--key", in("d.key")}, "401", "the key has been revoked")
	ok(t, "enroll", "--token", strings.TrimSpace(token), "--cert", in("e.crt"), "--key", in("e.key"))
	stop()
	fails(t, 1, []string{"enroll", "--token", strings.TrimSpace(token), "--cert", in("f.crt"), "--key", in("f.key")}, "connection refused")
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The request goes to the authority, the token back, and nobody between can use
// either.
func TestBoundSession(t *testing.T) {
	p := newPlace(t)
	p.serve(t)
	work := t.TempDir()
	in := func(name string) string { return filepath.Join(work, name) }
	ok(t, "request", "broker", "mq", "--names", "mq.example.com,192.0.2.7", "--key", in("mq.key"), "--out", in("mq.csr"))
	token := strings.TrimSpace(ok(t, "token", "--dir", p.dir, "broker", "mq", "--names", "mq.example.com,192.0.2.7", "--csr", in("mq.csr"), "--ttl", "10m"))
	ok(t, "request", "broker", "mq", "--names", "mq.example.com,192.0.2.7", "--key", in("thief.key"), "--out", in("thief.csr"))
	fails(t, 1, []string{"enroll", "--token", token, "--csr", in("thief.csr"), "--cert", in("thief.crt"), "--key", in("thief.key")}, "403", "another certificate request")
	fails(t, 1, []string{"enroll", "--token", token, "--cert", in("mq.crt"), "--key", in("mq.key")}, "bound to a certificate request")
	ok(t, "enroll", "--token", token, "--csr", in("mq.csr"), "--cert", in("mq.crt"), "--key", in("mq.key"))
	fails(t, 1, []string{"token", "--dir", p.dir, "broker", "other", "--names", "mq.example.com", "--csr", in("mq.csr")}, `common name "mq"`)
}

// A renewer that is told to stop stops, and that is no failure.
func TestWatch(t *testing.T) {
	p := newPlace(t)
	p.serve(t)
	token := strings.TrimSpace(ok(t, "token", "--dir", p.dir, "device", "x1"))
	work := t.TempDir()
	pair := []string{"--cert", work + "/d.pem", "--key", work + "/d.pem", "--root", work + "/root.crt"}
	ok(t, append([]string{"enroll", "--token", token}, pair...)...)
	before := read(t, work+"/d.pem")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{"renew", "--watch", "--url", p.url}, pair...), streams{nil, io.Discard, io.Discard})
	}()
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
	if read(t, work+"/d.pem") != before {
		t.Error("renewed a certificate of a minute ago")
	}
}

// At three in the morning nothing is running, or something else is.
func TestAuthorityNotRunning(t *testing.T) {
	p := newPlace(t)
	stop := p.serve(t)
	token := strings.TrimSpace(ok(t, "token", "--dir", p.dir, "device", "x1"))
	work := t.TempDir()
	ok(t, "enroll", "--token", token, "--cert", work+"/d.pem", "--key", work+"/d.pem")
	stop()

	if list := ok(t, "list", "--dir", p.dir); !strings.Contains(list, "x1") {
		t.Errorf("list:\n%s", list)
	}
	r := carillon(t, "", "revoke", "--dir", p.dir, "device", "x1", "--json")
	if r.code != 0 || !strings.Contains(r.err, "the authority is not running") || !strings.Contains(r.out, `"running": false`) {
		t.Errorf("revoke: %+v", r)
	}
	// A token needs nothing but the keys.
	ok(t, "token", "--dir", p.dir, "device", "x2")

	// A socket that was left behind by a crash does not keep anything from
	// working.
	socket := filepath.Join(p.dir, "admin.sock")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ok(t, "list", "--dir", p.dir)
	p.serve(t)
	list := ok(t, "list", "--dir", p.dir)
	if !strings.Contains(list, "revoked") {
		t.Errorf("what was revoked while the authority was down is not:\n%s", list)
	}
	root := ok(t, "root", "--dir", p.dir, "--fingerprint")
	client := &enroll.Client{URL: p.url}
	cert, err := client.Root(t.Context(), strings.TrimSpace(root))
	if err != nil {
		t.Fatal(err)
	}
	client.Roots = mtls.Pool(cert)
	der, err := client.CRL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if crl, err := x509.ParseRevocationList(der); err != nil || len(crl.RevokedCertificateEntries) != 1 {
		t.Errorf("the list after the restart: %v, %+v, want one entry", err, crl)
	}
}

func TestTwoServers(t *testing.T) {
	t.Parallel() // the second waits for the first
	p := newPlace(t)
	p.serve(t)
	fails(t, 1, []string{"serve", "--dir", p.dir, "--listen", "127.0.0.1:0"}, "in use by another process")
	ok(t, "list", "--dir", p.dir) // and has not taken the socket from it
}

func TestServeInit(t *testing.T) {
	p := newPlace(t)
	fresh := place{dir: filepath.Join(t.TempDir(), "pki"), listen: p.listen, url: p.url}
	fails(t, 1, []string{"serve", "--dir", fresh.dir}, "there is no authority", "carillon-pki init")
	fails(t, 2, []string{"serve", "--dir", fresh.dir, "--init"}, "--url is missing")
	stop := fresh.serve(t, "--init", "--url", fresh.url, "--log-json")
	fingerprint := ok(t, "root", "--dir", fresh.dir, "--fingerprint")
	stop()
	fresh.serve(t, "--init", "--url", fresh.url)
	if again := ok(t, "root", "--dir", fresh.dir, "--fingerprint"); again != fingerprint {
		t.Error("--init made a second authority over the first")
	}
}
