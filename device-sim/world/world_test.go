package world_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/device-sim/phone"
	"github.com/carillon-iot/carillon/device-sim/program"
	"github.com/carillon-iot/carillon/device-sim/world"
	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
)

func TestMain(m *testing.M) {
	if code, ok := program.All().Child(context.Background(), os.Args[1:], os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func start(t *testing.T, cfg world.Config) *world.World {
	t.Helper()
	w, err := world.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// goroutines waits until no more than so many are left, and returns the rest's
// stacks if they stay.
func goroutines(most int) string {
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > most {
		if time.Now().After(deadline) {
			var b bytes.Buffer
			stacks := make([]byte, 1<<20)
			b.Write(stacks[:runtime.Stack(stacks, true)])
			return b.String()
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond) // polling, with a deadline
	}
	return ""
}

// A world that is closed leaves neither goroutines nor files.
func TestCloseLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	before := runtime.NumGoroutine()
	w := start(t, world.Config{})
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) != 1 {
		t.Errorf("while the world is up, TMPDIR holds %q, want its one directory", left)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) != 0 {
		t.Errorf("after the world, TMPDIR holds %q", left)
	}
	if stacks := goroutines(before); stacks != "" {
		t.Errorf("goroutines are left:\n%s", stacks)
	}
}

// So does one whose building was interrupted, at whatever moment.
func TestInterruptedStart(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	before := runtime.NumGoroutine()
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond, 60 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		w, err := world.Start(ctx, world.Config{})
		cancel()
		if err == nil { // faster than that
			err = w.Close()
			if err != nil {
				t.Error(err)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) != 0 {
			t.Errorf("interrupted after %v: TMPDIR holds %q", after, left)
		}
	}
	if stacks := goroutines(before); stacks != "" {
		t.Errorf("goroutines are left:\n%s", stacks)
	}
}

func TestDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	w := start(t, world.Config{Dir: dir})
	testGuide(t, dir)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "world.log")); err != nil || !bytes.Contains(log, []byte("part=broker")) {
		t.Errorf("the log has %d bytes, error %v", len(log), err)
	}
	if _, err := world.Start(t.Context(), world.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second world in the same directory: error %v", err)
	}
}

// testGuide takes part in a world with nothing but what world.json says.
func testGuide(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "world.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g struct{ Authority, Fingerprint, Root, Directory, Broker, Settings, Issuer string }
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	root, err := (&enroll.Client{URL: g.Authority}).Root(t.Context(), g.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := pki.ReadRoot(g.Directory)
	if err != nil || !kept.Equal(root) {
		t.Errorf("the directory's root is another: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	for _, url := range []string{g.Issuer + "/.well-known/openid-configuration", g.Settings} {
		hc := &http.Client{Transport: &http.Transport{TLSClientConfig: mtls.ClientConfig(roots, nil, "127.0.0.1"), DisableKeepAlives: true}}
		answer, err := hc.Get(url)
		if err != nil {
			t.Error(err)
			continue
		}
		answer.Body.Close()
	}
	if c, err := net.Dial("tcp", g.Broker); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	admin, err := pki.Connect(t.Context(), g.Directory)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := admin.List(t.Context(), pki.Filter{}); err != nil || len(list) == 0 {
		t.Errorf("the authority lists %d certificates, error %v", len(list), err)
	}
}

// Nothing that is kept or logged holds a secret in the clear: neither hint nor
// token.
func TestNothingLeaks(t *testing.T) {
	dir := t.TempDir()
	w := start(t, world.Config{Dir: dir})
	car, anna := w.Car("blue"), w.Person("anna")
	if _, err := car.Ask(t.Context(), world.Ask{Hint: anna.Email, Scope: "seat"}); err != nil {
		t.Fatal(err)
	}
	await(t, w, func() error { return anna.Decide(phone.Approved) })
	await(t, w, func() error {
		for _, s := range car.Status().Sessions {
			if s.Settings == agent.SettingsApplied {
				return nil
			}
		}
		return errors.New("nobody is signed in")
	})
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		// A car may know who is in it, the authority keeps spent enrolment tokens.
		if err != nil || d.IsDir() || strings.Contains(path, "-car") || strings.Contains(path, "/authority/") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, secret := range []string{anna.Email, "eyJ"} {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds %q", path, secret)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func await(t *testing.T, w *world.World, cond func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.Await(ctx, cond); err != nil {
		t.Fatal(err)
	}
}

// Await returns what was last wrong, not that time is over.
func TestAwait(t *testing.T) {
	w := start(t, world.Config{})
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	sorry := errors.New("not yet")
	if err := w.Await(ctx, func() error { return sorry }); !errors.Is(err, sorry) {
		t.Errorf("error %v, want %v", err, sorry)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := w.Await(gone, func() error { return sorry }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// Events come one at a time and in order, and a car's bytes add up to what its
// radio has carried.
func TestEvents(t *testing.T) {
	var mu sync.Mutex // guards the fields below
	var last time.Duration
	var up, down int64
	began := false
	w := start(t, world.Config{Observe: func(e world.Event) {
		if !mu.TryLock() {
			t.Error("two events at a time")
			return
		}
		defer mu.Unlock()
		if e.What == "up" {
			began, last = true, 0 // from here it counts
		}
		if began && (e.At < last || e.Took < 0) {
			t.Errorf("%q at %v, after %v", e.Text, e.At, last)
		}
		last = e.At
		if e.Who == "blue car" {
			up, down = up+e.Up, down+e.Down
		}
	}})
	defer w.Close()
	car := w.Car("blue")
	if _, err := car.Ask(t.Context(), world.Ask{Hint: "nobody@example.com", Scope: "seat"}); err != nil {
		t.Fatal(err)
	}
	await(t, w, func() error {
		if in, ok := car.SignIn(car.Asked()); !ok || !in.State.Final() {
			return errors.New("no answer yet")
		}
		return nil
	})
	mu.Lock()
	defer mu.Unlock()
	total := car.Tap.Count()
	if up == 0 || up > total.Up || down > total.Down || total.Down-down > 200 {
		t.Errorf("events add up to %d bytes up and %d down, the radio has carried %d and %d", up, down, total.Up, total.Down)
	}
}
