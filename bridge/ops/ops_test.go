package ops_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/ops"
)

func check(name string, err error) ops.Check {
	return ops.Check{Name: name, Probe: func(context.Context) error { return err }}
}

func get(h http.Handler, path string) (status int, body string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// Each check fails the endpoints that it is for, and says why.
func TestChecks(t *testing.T) {
	bad := errors.New("the disk is full")
	for _, c := range []struct {
		name, path  string
		live, ready error
		status      int
		body        string
	}{
		{"all is well", "/healthz", nil, nil, 200, "ok\n"},
		{"all is well", "/readyz", nil, nil, 200, "ok\n"},
		{"all is well, in words", "/readyz?verbose", nil, nil, 200, "database: ok\nbroker: ok\n"},
		{"not ready", "/healthz", nil, bad, 200, "ok\n"},
		{"not ready", "/readyz", nil, bad, 503, "broker: the disk is full\n"},
		{"not ready, in words", "/readyz?verbose", nil, bad, 503, "database: ok\nbroker: the disk is full\n"},
		{"not alive", "/healthz", bad, nil, 503, "database: the disk is full\n"},
		{"not alive", "/readyz", bad, bad, 503, "database: the disk is full\nbroker: the disk is full\n"},
	} {
		h := ops.Handler(ops.Config{
			Live: []ops.Check{check("database", c.live)}, Ready: []ops.Check{check("broker", c.ready)}, Metrics: metrics.New().Registry(),
		})
		if status, body := get(h, c.path); status != c.status || body != c.body {
			t.Errorf("%s, %s: %d %q, want %d %q", c.name, c.path, status, body, c.status, c.body)
		}
	}
}

// A check that hangs is given up in time and is not asked a second time; when it
// answers at last, the next one who asks is answered.
func TestHangingCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		release := make(chan struct{})
		h := ops.Handler(ops.Config{
			Live: []ops.Check{{Name: "database", Probe: func(context.Context) error {
				asked.Add(1)
				<-release
				return nil
			}}},
			Metrics: metrics.New().Registry(),
		})
		begun := time.Now()
		for _, want := range []string{"database: no answer for 2s\n", "database: no answer for 4s\n"} {
			if status, body := get(h, "/healthz"); status != 503 || body != want {
				t.Errorf("%d %q, want 503 %q", status, body, want)
			}
		}
		if took := time.Since(begun); took != 2*ops.Patience || asked.Load() != 1 {
			t.Errorf("took %v and asked %d times, want %v and once", took, asked.Load(), 2*ops.Patience)
		}
		close(release)
		synctest.Wait()
		if status, body := get(h, "/healthz"); status != 200 || asked.Load() != 2 {
			t.Errorf("afterwards: %d %q, asked %d times", status, body, asked.Load())
		}
	})
}

// Metrics are served in the text format.
func TestMetrics(t *testing.T) {
	set := metrics.New()
	set.Ended(metrics.SignIn, metrics.Granted)
	status, body := get(ops.Handler(ops.Config{Metrics: set.Registry()}), "/metrics")
	if status != 200 || !strings.Contains(body, "carillon_bridge_requests_total{kind=\"sign_in\",outcome=\"granted\"} 1\n") || !strings.Contains(body, "go_goroutines") {
		t.Errorf("%d\n%s", status, body)
	}
}

// Nothing else is answered.
func TestElse(t *testing.T) {
	h := ops.Handler(ops.Config{Metrics: metrics.New().Registry()})
	if status, _ := get(h, "/"); status != 404 {
		t.Errorf("/: %d", status)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/healthz", strings.NewReader("x")))
	if w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}
