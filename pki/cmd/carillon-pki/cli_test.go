package main

import (
	"bytes"
	"context"
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
	fails(t, 2, []string{"version", "x"}, `"x"`)
	if out := ok(t, "version"); !strings.HasPrefix(out, "carillon-pki ") {
		t.Errorf("version: %q", out)
	}
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
