package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// result is how a command ended.
type result struct {
	code     int
	out, err string
}

// carillon runs the command in this process.
func carillon(t *testing.T, in string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), args, streams{strings.NewReader(in), &out, &errs})
	return result{code, out.String(), errs.String()}
}

// ok runs a command that must succeed, and returns its output.
func ok(t *testing.T, args ...string) string {
	t.Helper()
	r := carillon(t, "", args...)
	if r.code != 0 {
		t.Fatalf("carillon-pki %s: exit status %d\n%s", strings.Join(args, " "), r.code, r.err)
	}
	return r.out
}

// fails runs a command that must end with code and say words.
func fails(t *testing.T, code int, args []string, words ...string) {
	t.Helper()
	r := carillon(t, "", args...)
	if r.code != code {
		t.Errorf("carillon-pki %q: exit status %d, want %d\n%s", args, r.code, code, r.err)
	}
	for _, w := range words {
		if !strings.Contains(r.err, w) {
			t.Errorf("carillon-pki %q: %q does not say %q", args, r.err, w)
		}
	}
}

// place is a new authority's directory, address, and how to serve it.
type place struct {
	dir, url, listen string
}

func newPlace(t *testing.T, flags ...string) place {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := place{dir: filepath.Join(t.TempDir(), "pki"), listen: l.Addr().String(), url: "https://" + l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ok(t, append([]string{"init", "--dir", p.dir, "--url", p.url}, flags...)...)
	return p
}

// serve serves until the returned function is called.
func (p place) serve(t *testing.T, flags ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan result, 1)
	go func() {
		var errs bytes.Buffer
		code := run(ctx, append([]string{"serve", "--dir", p.dir, "--listen", p.listen}, flags...), streams{nil, io.Discard, &errs})
		done <- result{code: code, err: errs.String()}
	}()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		_, adminErr := pki.Connect(t.Context(), p.dir)
		conn, err := net.Dial("tcp", p.listen)
		if err == nil {
			_ = conn.Close()
		}
		if err == nil && adminErr == nil {
			break
		}
		select {
		case r := <-done:
			t.Fatalf("serve ended with %d: %s", r.code, r.err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the authority does not answer: %v, %v", err, adminErr)
		}
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if r := <-done; r.code != 0 {
			t.Errorf("serve ended with %d: %s", r.code, r.err)
		}
	})
	t.Cleanup(stop)
	return stop
}

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

func TestPasswordFile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newPlace(t, "--password-file", secret)
	fails(t, 1, []string{"token", "--dir", p.dir, "device"}, "password")
	fails(t, 1, []string{"serve", "--dir", p.dir}, "password")
	ok(t, "token", "--dir", p.dir, "device", "--password-file", secret)
	t.Setenv("CARILLON_PKI_PASSWORD_FILE", secret)
	ok(t, "token", "--dir", p.dir, "device")
	if err := os.WriteFile(secret, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, 1, []string{"token", "--dir", p.dir, "device"}, "is empty")
}

func TestSettings(t *testing.T) {
	p := newPlace(t)
	config := filepath.Join(t.TempDir(), "pki.toml")
	write := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expires := func(args ...string) time.Duration {
		var made struct{ Expires time.Time }
		if err := json.Unmarshal([]byte(ok(t, append([]string{"token", "--json", "device"}, args...)...)), &made); err != nil {
			t.Fatal(err)
		}
		return time.Until(made.Expires).Round(time.Minute)
	}
	// listen is a flag of another command, which may share the file.
	write(fmt.Sprintf("dir = %q\nttl = \"2h\"\nlisten = \":9000\"\n", p.dir))
	if got := expires("--config", config); got != 2*time.Hour {
		t.Errorf("from the file: %v, want 2h", got)
	}
	t.Setenv("CARILLON_PKI_TTL", "3h")
	if got := expires("--config", config); got != 3*time.Hour {
		t.Errorf("from the environment: %v, want 3h", got)
	}
	if got := expires("--config", config, "--ttl", "4h"); got != 4*time.Hour {
		t.Errorf("from the command line: %v, want 4h", got)
	}
	t.Setenv("CARILLON_PKI_TTL", "soon")
	fails(t, 2, []string{"token", "--config", config, "device"}, "ttl", "soon")
	write("tll = \"2h\"\n")
	t.Setenv("CARILLON_PKI_TTL", "1h")
	fails(t, 2, []string{"token", "--config", config, "device"}, `"tll" is not a setting`)
	fails(t, 2, []string{"token", "--config", config + "x", "device"}, config+"x")
}

func TestUsage(t *testing.T) {
	fails(t, 2, nil, "a command is missing")
	fails(t, 2, []string{"make-coffee"}, `no command "make-coffee"`)
	fails(t, 2, []string{"token"}, "takes a role and an id")
	fails(t, 2, []string{"token", "driver", "x"}, `role "driver"`)
	fails(t, 2, []string{"token", "bridge"}, "takes the id of the bridge too")
	fails(t, 2, []string{"token", "device", "X1"}, `'X'`)
	fails(t, 2, []string{"token", "device", "x1", "x2"}, "found 3 arguments")
	fails(t, 2, []string{"token", "device", "x1", "--bogus"}, "bogus")
	fails(t, 2, []string{"revoke"}, "takes a role and an id")
	fails(t, 2, []string{"revoke", "device"}, "takes the id of the device too")
	fails(t, 2, []string{"revoke", "--serial", "beef"}, `"beef"`)
	fails(t, 2, []string{"revoke", "--serial", "1", "device", "x1"}, "not both")
	fails(t, 2, []string{"revoke", "device", "x1", "--reason", "spite"}, `"spite"`)
	fails(t, 2, []string{"init"}, "--url is missing")
	fails(t, 2, []string{"init", "here"}, `"here"`)
	fails(t, 2, []string{"init", "--url", "https://a.example.com", "--root-cert", "x"}, "go together")
	fails(t, 2, []string{"enroll"}, "--cert and --key")
	fails(t, 2, []string{"enroll", "--cert", "/nonexistent/c", "--key", "/nonexistent/k"}, "--token-file is missing")
	fails(t, 2, []string{"renew", "--cert", "c", "--key", "k"}, "--url and --root")
	fails(t, 2, []string{"request", "device"}, "--key and --out")
	empty := t.TempDir()
	for _, args := range [][]string{{"token", "device"}, {"root"}, {"list"}, {"revoke", "device", "x1"}, {"serve"}} {
		fails(t, 1, append(args, "--dir", empty), empty, "there is no authority")
	}
	fails(t, 1, []string{"init", "--dir", t.TempDir(), "--url", "http://a.example.com"}, `"http://a.example.com"`)
}

// Every command teaches with an example, and every flag says what it is.
func TestHelp(t *testing.T) {
	overview := ok(t, "--help")
	c := &cli{streams: streams{nil, io.Discard, io.Discard}, flags: make(map[string]bool)}
	for _, cmd := range newRoot(c).Subcommands {
		if !strings.Contains(overview, cmd.Name) {
			t.Errorf("--help does not name %s", cmd.Name)
		}
		help := ok(t, cmd.Name, "--help")
		if !strings.Contains(help, "EXAMPLE\n") || !strings.Contains(help, "carillon-pki "+cmd.Name) {
			t.Errorf("%s --help has no example", cmd.Name)
		}
	}
	r := carillon(t, "", "token", "device", "--help")
	if r.code != 0 || r.err != "" || !strings.Contains(r.out, "EXAMPLE") {
		t.Errorf("help behind an argument: %+v", r)
	}
}
