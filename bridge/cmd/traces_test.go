package cmd_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/schemas"
)

// A receiver takes traces as a collector does.
type receiver struct {
	t *testing.T
	*httptest.Server

	mu    sync.Mutex
	spans []*otlp.Span
	from  map[string]bool // service.name and service.instance.id
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, from: make(map[string]bool)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var m collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &m)
	}
	if err != nil || req.URL.Path != "/v1/traces" {
		r.t.Errorf("%s %s: %v", req.Method, req.URL, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range m.ResourceSpans {
		for _, a := range of.Resource.Attributes {
			r.from[a.Key+"="+a.Value.GetStringValue()] = true
		}
		for _, s := range of.ScopeSpans {
			r.spans = append(r.spans, s.Spans...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// A sign-in during which the bridge is stopped and started again arrives at a
// collector as one trace, with the last spans of the first process.
func TestTracesArrive(t *testing.T) {
	op := &cibatest.Provider{Interval: time.Second}
	w := newWorld(t, op)
	r := newReceiver(t)
	first := w.spawn("--otlp-endpoint=" + r.URL)
	c := w.car("car-1")
	m := c.signIn(c.hello(), "anna@example.com")
	c.insist(m, pending)
	if err := first.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, r := range op.Requests() {
		op.Approve(r.AuthReqID)
	}
	second := w.spawn("--otlp-endpoint=" + r.URL)
	c.insist(m, granted)
	eventually(t, "the receipt", func() bool {
		c.say(&schemas.Receipt{ID: m.ID})
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.ContainsFunc(r.spans, func(s *otlp.Span) bool { return s.Name == "receipt" })
	})
	if err := second.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil {
		t.Fatal(err)
	}

	names, traces := make(map[string]bool), make(map[string]bool)
	for _, s := range r.spans {
		names[s.Name] = true
		traces[string(s.TraceId)] = true
	}
	for _, want := range []string{"sign_in", "accept", "backchannel_authentication", "pending", "wait", "token", "answer", "publish", "receipt"} {
		if !names[want] {
			t.Errorf("no span is called %q", want)
		}
	}
	if len(traces) != 1 || !r.from["service.name=carillon-bridge"] || !r.from["service.instance.id=b1"] {
		t.Errorf("%d traces, from %v", len(traces), r.from)
	}
}

// A collector that fails costs spans, which are counted, and one line in the log.
func TestTracesAreLost(t *testing.T) {
	op := &cibatest.Provider{Interval: time.Second, AutoApprove: time.Millisecond}
	w := newWorld(t, op)
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }))
	defer bad.Close()
	ops := freeAddress(t)
	bridge := w.spawn("--otlp-endpoint="+bad.URL, "--ops="+ops)
	c := w.car("car-1")
	c.insist(c.signIn(c.hello(), "anna@example.com"), granted)
	eventually(t, "lost spans", func() bool {
		_, body := ask(ops, "/metrics")
		return contains(body, "\ncarillon_bridge_trace_spans_total{result=\"lost\"} ") && !contains(body, "\ncarillon_bridge_trace_spans_total{result=\"lost\"} 0\n")
	})
	if err := bridge.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := bridge.Wait(); err != nil {
		t.Error(err)
	}
	if said := bridge.Stderr.(*log).String(); !contains(said, `level=WARN msg="traces are lost"`) {
		t.Errorf("the log:\n%s", said)
	}
}
