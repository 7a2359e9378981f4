package trace_test

import (
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/carillon-iot/carillon/bridge/trace"
)

// What the traces of one sign-in cost: without a collector, with one that is told
// nothing of it, and with one that is told all.
func BenchmarkSignIn(b *testing.B) {
	st := open(b, 1)
	provider := func(ratio float64) oteltrace.TracerProvider {
		return sdk.NewTracerProvider(sdk.WithBatcher(tracetest.NewNoopExporter()), sdk.WithIDGenerator(trace.IDs{}), sdk.WithSampler(sdk.TraceIDRatioBased(ratio)))
	}
	for _, c := range []struct {
		name     string
		provider oteltrace.TracerProvider
	}{{"off", nil}, {"not-sampled", provider(0)}, {"on", provider(1)}} {
		b.Run(c.name, func(b *testing.B) {
			tracer, err := trace.New(c.provider, st)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				now := time.Now()
				for _, step := range []string{"accept", "backchannel_authentication", "pending", "publish", "token", "wait", "answer", "publish", "receipt"} {
					tracer.Step(request, trace.Step{Name: step, From: now, Result: "ok"})
				}
				tracer.Request(request, "sign_in", now, "granted")
				_ = tracer.ID(request)
			}
		})
	}
}
