package cmd_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/cmd"
)

// ask returns what the operations listener says; 0 if nothing listens.
func ask(address, path string) (status int, body string) {
	resp, err := http.Get("http://" + address + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// serving runs a bridge with these settings besides the usual ones until the end
// of the test. It returns the address of its operations listener.
func (w *world) serving(flags map[string]string) (ops string) {
	w.t.Helper()
	ops = freeAddress(w.t)
	all := w.flags()
	maps.Copy(all, flags)
	all["ops"] = ops
	out := new(log)
	w.background(func(ctx context.Context) {
		if code := cmd.Main(ctx, args("serve", all), nil, io.Discard, out); code != 0 {
			w.t.Errorf("exit status %d\n%s", code, out.String())
		}
	})
	eventually(w.t, "the listener", func() bool { status, _ := ask(ops, "/healthz"); return status == 200 })
	return ops
}

// A bridge without a broker and a provider lives, and says what it lacks.
func TestNotReady(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{})
	ops := w.serving(map[string]string{"broker": freeAddress(t), "issuer": "https://" + freeAddress(t)})
	var status int
	var body string
	eventually(t, "a reason", func() bool {
		status, body = ask(ops, "/readyz?verbose")
		return contains(body, "bridge: ok\n", "attempts have failed")
	})
	if status != 503 || !contains(body, "database: ok\n", "broker: no connection since", "provider: ciba: discovery endpoint", "connection refused") {
		t.Errorf("%d\n%s", status, body)
	}
	if status, body := ask(ops, "/healthz"); status != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %s", status, body)
	}
}

// The first signal has a bridge finish what is on its way, and say so; the second
// ends it at once.
func TestSignals(t *testing.T) {
	over := make(chan struct{})
	op := &cibatest.Provider{Backchannel: cibatest.Always(func(http.ResponseWriter, *http.Request, http.HandlerFunc) { <-over })}
	w := newWorld(t, op)
	t.Cleanup(func() { close(over) }) // before the provider's own, which waits for what it serves
	ops := freeAddress(t)
	bridge := w.spawn("--ops=" + ops)
	c := w.car("car-1")
	m := c.signIn(c.hello(), "anna@example.com")
	eventually(t, "a call of the provider", func() bool {
		c.say(m)
		return op.Stats().Backchannel > 0
	})
	if err := bridge.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "draining", func() bool { _, body := ask(ops, "/readyz"); return contains(body, "bridge: draining") })
	if status, _ := ask(ops, "/healthz"); status != 200 {
		t.Errorf("/healthz: %d while draining", status)
	}
	if err := bridge.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := bridge.Wait(); err == nil || !contains(err.Error(), "signal: terminated") {
		t.Errorf("ended with %v, want by the signal", err)
	}
}

// A bridge that works says so, and exports what it knows of itself.
func TestOps(t *testing.T) {
	w := newWorld(t, &cibatest.Provider{})
	ops := w.serving(nil)
	eventually(t, "ready", func() bool { status, _ := ask(ops, "/readyz"); return status == 200 })
	status, body := ask(ops, "/metrics")
	for _, line := range []string{
		"carillon_bridge_broker_up 1",
		"carillon_bridge_broker_connections_total 1",
		`carillon_bridge_queue_capacity{queue="intake"} 4096`,
		`carillon_bridge_provider_calls_limit{call="token"} 256`,
		"carillon_bridge_build_info{",
		"carillon_bridge_store_commit_failures_total 0",
	} {
		if !strings.Contains(body, "\n"+line) {
			t.Errorf("%d, without %q", status, line)
		}
	}
	if strings.Contains(body, `certificate_expiry_timestamp_seconds{certificate="bridge"} 0`) || !strings.Contains(body, `expiry_timestamp_seconds{certificate="bridge"} 1.`) {
		t.Errorf("no end of the certificate:\n%s", body)
	}
}
