package trace_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/bridge/trace"
	"github.com/carillon-iot/carillon/schemas"
)

var request = store.Key{Device: "car-1", ID: schemas.ID{1, 2, 3}}

func open(t testing.TB, key byte) *store.Store {
	t.Helper()
	keys, err := store.NewKeyring(append(make([]byte, store.KeySize-1), key))
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), store.Config{Database: store.SQLite{Path: filepath.Join(t.TempDir(), "bridge.db"), UnsafeNoSync: true}, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// A nil Tracer takes everything.
func TestNil(t *testing.T) {
	tracer, err := trace.New(nil, nil)
	if tracer != nil || err != nil {
		t.Fatal(tracer, err)
	}
	tracer.Step(request, trace.Step{Name: "step"})
	tracer.Request(request, "request", time.Now(), "granted")
	if id := tracer.ID(request); id != "" {
		t.Errorf("id %q", id)
	}
}

// The ids of a request are the same to everybody with the database, and to
// nobody else; those of steps are their own.
func TestIDs(t *testing.T) {
	st := open(t, 1)
	ids := make(map[string]int)
	for _, of := range []*store.Store{st, st, open(t, 1)} {
		spans := tracetest.NewInMemoryExporter()
		tracer, err := trace.New(sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithIDGenerator(trace.IDs{})), of)
		if err != nil {
			t.Fatal(err)
		}
		tracer.Step(request, trace.Step{Name: "one", From: time.Now()})
		tracer.Step(request, trace.Step{Name: "two", From: time.Now()})
		tracer.Request(request, "request", time.Now(), "granted")
		tracer.Request(store.Key{Device: "car-2", ID: request.ID}, "request", time.Now(), "granted")
		got := spans.GetSpans()
		one, two, root, other := got[0], got[1], got[2], got[3]
		if one.Parent.SpanID() != root.SpanContext.SpanID() || two.Parent.SpanID() != root.SpanContext.SpanID() || one.SpanContext.SpanID() == two.SpanContext.SpanID() {
			t.Error("two steps are not children of their request")
		}
		if tracer.ID(request) != root.SpanContext.TraceID().String() || other.SpanContext.TraceID() == root.SpanContext.TraceID() {
			t.Error("two devices share a trace")
		}
		ids[tracer.ID(request)]++
	}
	if len(ids) != 2 {
		t.Errorf("ids %v, want the same for the same database and another for another", ids)
	}
}

// A root that is not of a request has random ids.
func TestOtherRoots(t *testing.T) {
	provider := sdk.NewTracerProvider(sdk.WithIDGenerator(trace.IDs{}))
	_, a := provider.Tracer("x").Start(context.Background(), "a")
	_, b := provider.Tracer("x").Start(context.Background(), "b")
	if !a.SpanContext().IsValid() || a.SpanContext().TraceID() == b.SpanContext().TraceID() {
		t.Error("two roots share a trace")
	}
}
