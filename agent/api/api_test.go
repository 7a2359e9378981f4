package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/agent/api"
	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// place is an agent with its interface on a socket, in real time: sockets and
// bubbles do not mix.
type place struct {
	bridge *agenttest.Bridge
	agent  *agent.Agent
	socket string
	client *api.Client
	stop   func()
}

func newPlace(t *testing.T, uids []int) *place {
	t.Helper()
	b := agenttest.NewBridge(t)
	a, err := agent.New(agent.Config{
		Certificate: mtls.Fixed(b.CA.Device(agenttest.DeviceID)), Roots: b.CA.Roots(), Publisher: b,
		Store: new(outbox.Memory), Logger: agenttest.Quiet(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := api.New(api.Config{Agent: a, UIDs: uids, Logger: agenttest.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	p := &place{bridge: b, agent: a, socket: filepath.Join(t.TempDir(), "agent.sock")}
	p.client = api.NewClient(p.socket)
	l, err := api.Listen(p.socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- a.Run(ctx) }()
	go func() { done <- s.Serve(ctx, l) }()
	p.stop = func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		p.stop = func() {}
	}
	t.Cleanup(func() { p.stop() })
	b.Set(func(b *agenttest.Bridge) { b.Device = a })
	a.Connected()
	return p
}

// raw makes a request by hand.
func (p *place) raw(t *testing.T, method, path, kind, body string) (int, http.Header, string) {
	t.Helper()
	h := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return net.Dial("unix", p.socket) },
	}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://agent"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := h.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// next reads events until one is of a type and passes.
func next[T any](t *testing.T, events <-chan api.Event, kind string, ok func(T) bool) T {
	t.Helper()
	for {
		select {
		case e, open := <-events:
			if !open {
				t.Fatalf("the stream ends before %s", kind)
			}
			var v T
			if e.Type == kind {
				if err := json.Unmarshal(e.Data, &v); err != nil {
					t.Fatal(err)
				}
				if ok(v) {
					return v
				}
			}
		case <-t.Context().Done():
			t.Fatalf("no %s", kind)
		}
	}
}

func (p *place) watch(t *testing.T) <-chan api.Event {
	out := make(chan api.Event, 100)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() {
		defer close(out)
		for e, err := range p.client.Events(ctx) {
			if err != nil {
				return
			}
			out <- e
		}
	}()
	return out
}

func TestWholeSignIn(t *testing.T) {
	p := newPlace(t, nil)
	events := p.watch(t)
	first := next(t, events, api.EventStatus, func(api.Status) bool { return true })
	if first.Device != agenttest.DeviceID || first.SignIns == nil || first.People == nil {
		t.Errorf("first event: %+v", first)
	}
	s, err := p.client.SignIn(t.Context(), api.SignInRequest{Scope: "seat climate", LoginHint: "anna@example.com", Purpose: "a drive"})
	if err != nil {
		t.Fatal(err)
	}
	ringing := next(t, events, api.EventSignIn, func(x api.SignIn) bool { return x.State == agent.StateRinging })
	if ringing.ID != s.ID || ringing.BindingMessage != "4711" || ringing.ExpiresIn != 120 || ringing.Seat != 1 {
		t.Errorf("ringing: %+v", ringing)
	}
	if got, err := p.client.Get(t.Context(), s.ID); err != nil || got.State != agent.StateRinging {
		t.Errorf("got %+v, %v", got, err)
	}
	id, err := schemas.ParseID(s.ID)
	if err != nil {
		t.Fatal(err)
	}
	p.bridge.Approve(id, "Anna")
	next(t, events, api.EventSignIn, func(x api.SignIn) bool { return x.State == agent.StateGranted })
	session := next(t, events, api.EventSession, func(api.Session) bool { return true })
	if session.ID != s.ID || session.Name != "Anna" || session.Settings != agent.SettingsNone || session.ExpiresIn != 3600 {
		t.Errorf("session: %+v", session)
	}
	status, err := p.client.Status(t.Context())
	if err != nil || len(status.Sessions) != 1 || len(status.People) != 1 || !status.Connected || !status.Introduced {
		t.Errorf("status %+v, %v", status, err)
	}
	out, err := p.client.SignOut(t.Context(), api.SignOutRequest{Seat: 1})
	if err != nil || len(out.Sessions) != 1 || out.Sessions[0] != s.ID {
		t.Errorf("signed out %+v, %v", out, err)
	}
	next(t, events, api.EventEnded, func(x api.Session) bool { return x.ID == s.ID })
	p.stop()
	for range events { // it ends
	}
}

func TestCancelOverTheSocket(t *testing.T) {
	p := newPlace(t, nil)
	events := p.watch(t)
	s, err := p.client.SignIn(t.Context(), api.SignInRequest{Scope: "seat", LoginHint: "anna@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	next(t, events, api.EventSignIn, func(x api.SignIn) bool { return x.State == agent.StateRinging })
	if s, err = p.client.Cancel(t.Context(), s.ID); err != nil || s.State != agent.StateCancelling {
		t.Errorf("cancelled: %+v, %v", s, err)
	}
	next(t, events, api.EventSignIn, func(x api.SignIn) bool { return x.State == agent.StateCancelled })
	_, err = p.client.Cancel(t.Context(), s.ID)
	if problem, ok := errors.AsType[*api.Problem](err); !ok || problem.Status != 409 || problem.Type != "urn:carillon:problem:over" {
		t.Errorf("cancelling twice: %v", err)
	}
}

func TestProblems(t *testing.T) {
	p := newPlace(t, nil)
	const asJSON = "application/json"
	if _, err := p.client.SignIn(t.Context(), api.SignInRequest{Scope: "seat", LoginHint: "a"}); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name, method, path, kind, body string
		status                         int
		problem                        string
	}{
		{"seat busy", "POST", "/v1/sign-ins", asJSON, `{"scope":"seat","login_hint":"b"}`, 409, "seat-busy"},
		{"no scope", "POST", "/v1/sign-ins", asJSON, `{"login_hint":"b","seat":3}`, 400, "invalid-request"},
		{"nobody", "POST", "/v1/sign-ins", asJSON, `{"scope":"seat","seat":3}`, 400, "invalid-request"},
		{"unknown person", "POST", "/v1/sign-ins", asJSON, `{"scope":"seat","seat":3,"person":"Anna"}`, 404, "not-found"},
		{"unknown member", "POST", "/v1/sign-ins", asJSON, `{"scope":"seat","hint":"b"}`, 400, "invalid-request"},
		{"wrong type", "POST", "/v1/sign-ins", asJSON, `{"scope":1}`, 400, "invalid-request"},
		{"seat too great", "POST", "/v1/sign-ins", asJSON, `{"scope":"seat","login_hint":"b","seat":257}`, 400, "invalid-request"},
		{"seat negative", "POST", "/v1/sign-ins", asJSON, `{"scope":"seat","login_hint":"b","seat":-1}`, 400, "invalid-request"},
		{"expiry too great", "POST", "/v1/sign-ins", asJSON, `{"scope":"seat","login_hint":"b","seat":3,"expiry":65537}`, 400, "invalid-request"},
		{"two objects", "POST", "/v1/sign-ins", asJSON, `{"scope":"seat","login_hint":"b","seat":3}{}`, 400, "invalid-request"},
		{"no JSON", "POST", "/v1/sign-ins", asJSON, `scope=seat`, 400, "invalid-request"},
		{"empty", "POST", "/v1/sign-ins", asJSON, ``, 400, "invalid-request"},
		{"form", "POST", "/v1/sign-ins", "application/x-www-form-urlencoded", `scope=seat`, 415, "unsupported-media-type"},
		{"no type", "POST", "/v1/sign-ins", "", `{}`, 415, "unsupported-media-type"},
		{"too large", "POST", "/v1/sign-ins", asJSON, `{"scope":"` + strings.Repeat("x", 9000) + `"}`, 413, "too-large"},
		{"wrong method", "GET", "/v1/sign-ins", "", "", 405, "method-not-allowed"},
		{"wrong method", "DELETE", "/v1/status", "", "", 405, "method-not-allowed"},
		{"no such id", "GET", "/v1/sign-ins/0102030405060708", "", "", 404, "not-found"},
		{"bad id", "GET", "/v1/sign-ins/x", "", "", 400, "invalid-request"},
		{"bad id", "DELETE", "/v1/sign-ins/x", "", "", 400, "invalid-request"},
		{"no such id", "DELETE", "/v1/sign-ins/0102030405060708", "", "", 404, "not-found"},
		{"nowhere", "GET", "/", "", "", 404, "not-found"},
		{"sign-out of nothing", "POST", "/v1/sign-out", asJSON, `{}`, 400, "invalid-request"},
		{"sign-out of two", "POST", "/v1/sign-out", asJSON, `{"all":true,"seat":1}`, 400, "invalid-request"},
		{"sign-out of nobody", "POST", "/v1/sign-out", asJSON, `{"seat":2}`, 404, "not-found"},
		{"bad session", "POST", "/v1/sign-out", asJSON, `{"session":"x"}`, 400, "invalid-request"},
	} {
		status, header, body := p.raw(t, x.method, x.path, x.kind, x.body)
		var got api.Problem
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Errorf("%s: %q: %v", x.name, body, err)
			continue
		}
		if status != x.status || got.Status != x.status || got.Type != "urn:carillon:problem:"+x.problem || got.Detail == "" ||
			header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s %q, want %d %s", x.name, status, header.Get("Content-Type"), body, x.status, x.problem)
		}
		if x.status == 405 && header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", x.name)
		}
	}
}

// Whoever is not on the list is served nothing, not even who is there.
func TestForeignCaller(t *testing.T) {
	p := newPlace(t, []int{os.Getuid() + 1})
	for _, path := range []string{"/v1/status", "/v1/events", "/nowhere"} {
		status, _, body := p.raw(t, "GET", path, "", "")
		if status != 403 || strings.Contains(body, agenttest.DeviceID) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if _, err := p.client.Status(t.Context()); err == nil {
		t.Error("the client is served")
	}
}

func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	l, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := api.Listen(path); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("a second agent: %v", err)
	}
	// What a killed agent leaves behind is no obstacle.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	again, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Listen(path); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file in the way: %v", err)
	}
}

// Too many watchers are told so; there is room again when one leaves.
func TestTooManyWatchers(t *testing.T) {
	p := newPlace(t, nil)
	var stops []func()
	for range 16 {
		ctx, cancel := context.WithCancel(t.Context())
		stops = append(stops, cancel)
		begun := make(chan error, 1)
		go func() {
			for _, err := range p.client.Events(ctx) {
				select {
				case begun <- err:
				default:
				}
			}
		}()
		if err := <-begun; err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range p.client.Events(t.Context()) {
		if problem, ok := errors.AsType[*api.Problem](err); !ok || problem.Status != 503 {
			t.Fatalf("the 17th: %v", err)
		}
		break
	}
	if _, err := p.client.Status(t.Context()); err != nil {
		t.Errorf("others are not served: %v", err)
	}
	stops[0]()
	noticed, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for free := false; !free; time.Sleep(time.Millisecond) { // until the server has noticed
		if noticed.Err() != nil {
			t.Fatal("the place of a watcher who has left is never given away")
		}
		for _, err := range p.client.Events(noticed) {
			free = err == nil
			break
		}
	}
	for _, stop := range stops {
		stop()
	}
}

func TestNoAgent(t *testing.T) {
	_, err := api.NewClient(filepath.Join(t.TempDir(), "none")).Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no agent at") {
		t.Errorf("%v", err)
	}
	if _, err := api.New(api.Config{}); err == nil {
		t.Error("a server without an agent")
	}
}

// Whatever a body is, the answer is JSON with the right status, and the same
// body read twice means the same.
func FuzzSignInBody(f *testing.F) {
	for _, seed := range []string{`{}`, `{"scope":"seat","login_hint":"a"}`, `{"scope":"seat","seat":-3}`, `[]`, `null`, `{"scope":"\u0000"}`, `{"expiry":1e3}`} {
		f.Add(seed)
	}
	b := agenttest.NewBridge(f)
	a, err := agent.New(agent.Config{
		Certificate: mtls.Fixed(b.CA.Device(agenttest.DeviceID)), Roots: b.CA.Roots(), Publisher: b, Store: new(outbox.Memory), Logger: agenttest.Quiet(),
	})
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // the agent takes nothing: only the body is tried
	_ = a.Run(ctx)
	handler := api.Handler(a)
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{"/v1/sign-ins", "/v1/sign-out"} {
			req, err := http.NewRequest(http.MethodPost, path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			w := &recorder{header: http.Header{}}
			handler.ServeHTTP(w, req)
			var p api.Problem
			if err := json.Unmarshal(w.body, &p); err != nil || p.Status != w.status {
				t.Errorf("%d %q: %v", w.status, w.body, err)
			}
			if w.status != 400 && w.status != 413 && w.status != 503 {
				t.Errorf("status %d for %q", w.status, body)
			}
		}
	})
}

type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorder) Header() http.Header  { return r.header }
func (r *recorder) WriteHeader(code int) { r.status = code }
func (r *recorder) Write(p []byte) (int, error) {
	r.body = append(r.body, p...)
	return len(p), nil
}
