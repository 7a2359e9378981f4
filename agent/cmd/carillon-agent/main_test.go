package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/agent/api"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// The whole way over real connections: the daemon, a broker with mutual TLS, a
// bridge, the settings API, and the commands on the socket.
func TestTheWholeWay(t *testing.T) {
	w := newWorld(t)
	stop := w.daemon()
	answers := make(chan string, 1)
	go func() {
		code, out := w.call("sign-in", "--scope", "seat", "--login-hint", "anna@example.com", "--expiry", "60s")
		if code != 0 {
			t.Errorf("sign-in ends with %d", code)
		}
		answers <- out
	}()
	id := w.ringing()
	if m := w.bridge.Knows(id).Message.(*schemas.SignIn); m.Expiry != 60 || m.Scope != "seat" || m.Device != schemas.Car || m.Seat != 1 || m.Moving {
		t.Errorf("the bridge was told %+v", m)
	}
	w.bridge.Approve(id, "Anna")
	out := <-answers
	for _, want := range []string{": asking", `and shows "4711"`, ": granted", "signed in: Anna (1), 1 settings applied, 0 wait until the vehicle stands, 1 left out"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if code, out := w.call("status"); code != 0 || !strings.Contains(out, "device "+agenttest.DeviceID+": connected") ||
		!strings.Contains(out, "session of Anna (1) on seat 1") || !strings.Contains(out, "people: Anna (1)") {
		t.Errorf("status %d:\n%s", code, out)
	}
	// The next time by name, and with JSON.
	go func() {
		_, out := w.call("sign-in", "--scope", "seat", "--person", "Anna", "--json")
		answers <- out
	}()
	w.bridge.Approve(w.ringing(), "")
	var states []string
	for line := range strings.Lines(<-answers) {
		var s struct {
			State    string `json:"state"`
			Settings string `json:"settings"`
		}
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		states = append(states, s.State+s.Settings)
	}
	if got := strings.Join(states, " "); !strings.HasPrefix(got, "sending ringing granted ") || !strings.HasSuffix(got, " applied") {
		t.Errorf("states %s", got)
	}
	if code, out := w.call("sign-out", "--all"); code != 0 || out != "signed out: 1\n" {
		t.Errorf("sign-out %d: %s", code, out)
	}
	if code := stop(); code != 0 {
		t.Errorf("the daemon ends with %d", code)
	}
	for _, secret := range []string{"anna@example.com", "abcdefghijklmnop"} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
	if code, out := w.call("status"); code != 1 || !strings.Contains(out, "no agent at") {
		t.Errorf("without a daemon %d: %s", code, out)
	}
}

func TestRefusedAndCancelled(t *testing.T) {
	w := newWorld(t)
	w.daemon()
	type result struct {
		code int
		out  string
	}
	done := make(chan result, 1)
	begin := func(ctx context.Context) {
		go func() {
			code, out := w.callUntil(ctx, &buffer{}, "sign-in", "--scope", "seat", "--login-hint", "anna@example.com")
			done <- result{code, out}
		}()
	}
	begin(t.Context())
	w.bridge.Refuse(w.ringing(), schemas.AccessDenied)
	if r := <-done; r.code != 1 || !strings.Contains(r.out, "refused: access_denied\n") {
		t.Errorf("refused: %d\n%s", r.code, r.out)
	}
	begin(t.Context())
	id := w.ringing()
	w.bridge.Set(func(b *agenttest.Bridge) {
		r := b.Refusal(id, schemas.TooManyRequests)
		r.RetryAfter = 600
		b.Say(b.Finally(r)[0])
	})
	if r := <-done; r.code != 1 || !strings.Contains(r.out, "refused: too_many_requests, ask again in 600 s\n") {
		t.Errorf("too many: %d\n%s", r.code, r.out)
	}
	// Ctrl-C.
	ctx, interrupt := context.WithCancel(t.Context())
	begin(ctx)
	id = w.ringing()
	interrupt()
	if r := <-done; r.code != 1 || !strings.Contains(r.out, ": cancelled") {
		t.Errorf("interrupted: %d\n%s", r.code, r.out)
	}
	if n := w.bridge.Knows(id).Rings; n != 1 {
		t.Errorf("rang %d times", n)
	}
	// From elsewhere.
	code, out := w.call("sign-in", "--scope", "seat", "--login-hint", "anna@example.com", "--no-wait", "--json")
	var s api.SignIn
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 {
		t.Fatalf("%d %s: %v", code, out, err)
	}
	if code, out := w.call("cancel", s.ID, "--json"); code != 2 {
		t.Errorf("flags behind the id: %d %s", code, out) // ff stops at the first argument
	}
	b := &buffer{}
	if code := run(t.Context(), []string{"cancel", "--socket", w.socket, s.ID}, streams{nil, b, b}); code != 0 || !strings.Contains(b.String(), "cancel") {
		t.Errorf("cancel %d: %s", code, b)
	}
	if code, out := w.call("sign-in", "--scope", "seat", "--person", "Bela"); code != 1 || !strings.Contains(out, "nobody here is called") {
		t.Errorf("unknown person %d: %s", code, out)
	}
}

// The daemon is killed while the phone rings; the waiting command finds the
// next one and sees the end.
func TestDaemonRestarts(t *testing.T) {
	w := newWorld(t)
	stop := w.daemon()
	out := &buffer{}
	done := make(chan int, 1)
	go func() {
		code, _ := w.callUntil(t.Context(), out, "sign-in", "--scope", "seat", "--login-hint", "anna@example.com")
		done <- code
	}()
	id := w.ringing()
	stop()
	w.daemon()
	w.ringing()
	w.bridge.Approve(id, "Anna")
	if code := <-done; code != 0 || !strings.Contains(out.String(), "signed in: Anna") {
		t.Errorf("%d:\n%s", code, out)
	}
	if n := w.bridge.Knows(id).Rings; n != 1 {
		t.Errorf("rang %d times", n)
	}
}

// A renewed certificate is shown on a new connection, at once.
func TestRenewedCertificateReconnects(t *testing.T) {
	w := newWorld(t)
	files := &mtls.Files{CertFile: filepath.Join(w.dir, "device.crt"), KeyFile: filepath.Join(w.dir, "device.key")}
	flags := &runFlags{}
	flags.dir, flags.broker, flags.device, flags.vehicle, flags.caURL = w.dir, w.broker, "car", "none", "https://127.0.0.1:1"
	flags.fill()
	d, err := newDaemon(flags, agenttest.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.store.Close() })
	w.background(d.agent.Run)
	w.background(d.link.Run)
	w.eventually("the first hello", func() bool { return d.agent.Status().Introduced })
	renewed := w.bridge.CA.Issue(mtlstest.Leaf{Identity: mtls.Identity{Role: mtls.RoleDevice, ID: agenttest.DeviceID}})
	store(t, files, renewed)
	d.renewer.Renewed(nil)
	w.eventually("the second hello", func() bool {
		all := w.bridge.Heard(schemas.KindHello)
		return len(all) == 2 && all[1].KeyID == schemas.KeyIDOf(renewed.Leaf)
	})
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "agent.toml")
	if err := os.WriteFile(config, []byte("broker = \"mq.example.com\"\ndir = \""+dir+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	misspelled := filepath.Join(dir, "bad.toml")
	if err := os.WriteFile(misspelled, []byte("brocker = \"x\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, "COMMAND"}, {[]string{"--help"}, 0, "EXAMPLE"}, {[]string{"run", "--help"}, 0, "EXAMPLE"}, {[]string{"nope"}, 2, `no command "nope"`},
		{[]string{"run", "--nope"}, 2, "nope"}, {[]string{"run", "extra"}, 2, "takes no argument"}, {[]string{"run"}, 2, "--broker"},
		{[]string{"run", "--config", config}, 2, `--broker is "mq.example.com"`}, {[]string{"run", "--config", misspelled}, 2, "brocker"},
		{[]string{"run", "--broker", "a:1", "--dir", dir}, 1, "carillon-agent enroll writes it"}, {[]string{"run", "--broker", "a:1", "--log-level", "loud"}, 2, "--log-level"},
		{[]string{"run", "--broker", "h:99999"}, 2, `--broker is "h:99999", want host:port, with a port from 1 to 65535`}, {[]string{"run", "--broker", ":1"}, 2, `--broker is ":1"`},
		{[]string{"run", "--broker", "h:0"}, 2, `--broker is "h:0"`}, {[]string{"run", "--broker", "h:mqtt"}, 2, `--broker is "h:mqtt"`},
		{[]string{"run", "--broker", "h:1", "--ca-url", "foo"}, 2, `--ca-url: address of the authority "foo", want https://`},
		{[]string{"enroll", "--dir", dir, "--token", "x", "--ca-url", "http://h"}, 2, `--ca-url: address of the authority "http://h"`},
		{[]string{"sign-in"}, 2, "--scope"}, {[]string{"sign-in", "--scope", "a", "--person", "Anna", "--expiry", "1ms"}, 2, "whole seconds"}, {[]string{"cancel"}, 2, "one id"},
		{[]string{"enroll", "--dir", dir}, 2, "--token"}, {[]string{"enroll", "--dir", dir, "--token", "x"}, 1, "token has 1 parts"}, {[]string{"version"}, 0, "carillon-agent "},
		{[]string{"sign-in", "--scope", "a"}, 2, "found none of --person, --login-hint, --login-hint-token, --id-token-hint, want one"},
		{[]string{"sign-in", "--scope", "a", "--person", "1", "--id-token-hint", "x"}, 2, "found --person and --id-token-hint, want one of --person, "},
		{[]string{"sign-in", "--scope", "a", "--person", "1", "--expiry", "90"}, 2, `invalid value "90" for flag -expiry: a unit is missing, such as in 90s`},
		{[]string{"sign-in", "--scope", "a", "--person", "1", "--expiry", "soon"}, 2, "want a number with a unit"},
		{[]string{"sign-in", "--scope", "a", "--person", "1", "--expiry", "-1s"}, 2, "whole seconds"},
		{[]string{"sign-out"}, 2, "found none of --session, --person, --seat, --all, want one"},
		{[]string{"sign-out", "--seat", "3", "--all"}, 2, "found --seat and --all, want one of"},
		{[]string{"status", "--socket", filepath.Join(dir, "none")}, 1, "no agent at"},
	} {
		b := &buffer{}
		if code := run(t.Context(), x.args, streams{strings.NewReader(""), b, b}); code != x.code || !strings.Contains(b.String(), x.want) {
			t.Errorf("%q: %d, want %d and %q:\n%s", x.args, code, x.code, x.want, b)
		}
	}
	out, said := &buffer{}, &buffer{}
	if run(t.Context(), []string{"--help"}, streams{strings.NewReader(""), out, said}); out.String() == "" || said.String() != "" {
		t.Errorf("help that was asked for has %d bytes on standard output, %q on standard error", len(out.String()), said)
	}
	t.Setenv("CARILLON_AGENT_BROKER", "from-the-environment")
	b := &buffer{}
	if run(t.Context(), []string{"run"}, streams{strings.NewReader(""), b, b}); !strings.Contains(b.String(), "from-the-environment") {
		t.Errorf("the environment is not read: %s", b)
	}
}

// Wrong values are refused before anything is begun, each by its name.
func TestRunRefuses(t *testing.T) {
	w := newWorld(t)
	for _, x := range [][]string{
		{"--device", "boat", "--device"}, {"--vehicle", "tank", "--vehicle"}, {"--settings-url", "http://example.com", "--settings-url"},
		{"--settings-url", w.settings, "--settings-roots", "/nonexistent", "--settings-roots: open /nonexistent"},
		{"--allow-uid", "root", "--allow-uid"}, {"--guest", "/nonexistent", "--guest: open /nonexistent"},
		{"--guest", w.dir + "/device.crt", "--guest \"" + w.dir + "/device.crt"}, {"--roots", w.dir + "/device.key", "no certificate"},
		{"--cert", w.dir + "/roots.crt", "does not belong"}, {"--socket", w.dir + "/device.crt", "no socket"},
	} {
		b := &buffer{}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		last := len(x) - 1
		args := append([]string{"run", "--dir", w.dir, "--broker", w.broker, "--socket", w.socket}, x[:last]...)
		if code := run(ctx, args, streams{nil, b, b}); code == 0 || !strings.Contains(b.String(), x[last]) {
			t.Errorf("%q: %d, want %q:\n%s", x[:last], code, x[last], b)
		}
		cancel()
	}
}
