// Package trace tells what became of a request as one trace of OpenTelemetry,
// whichever bridges have had a part in it.
//
// # One trace
//
// The ids of the trace and of its root are a keyed hash of the request, so every
// bridge of a database finds them by itself, after a restart too: nothing is
// stored for it, and nothing is sent to devices or to the provider. Steps are
// recorded when they are over, each as a child of the root; the root is recorded
// by whoever makes the final answer durable, from the beginning of the request.
//
// # What is in it
//
// Names and times of steps, outcomes in a word, the id of the request, and the
// pseudonym of the device; never a device, a person, a hint, a token, a binding
// message, or what a provider has written.
package trace

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// A Tracer records requests. A nil Tracer records nothing, and costs a comparison.
type Tracer struct {
	tracer    trace.Tracer
	key       []byte
	pseudonym func(schemas.DeviceID) string
}

// New returns a Tracer for the requests of a store; nil if provider is nil. The
// provider must take its ids from [IDs], or roots are not found.
func New(provider trace.TracerProvider, st *store.Store) (*Tracer, error) {
	if provider == nil {
		return nil, nil
	}
	key, err := st.DeriveKey("traces")
	if err != nil {
		return nil, err
	}
	return &Tracer{provider.Tracer("github.com/carillon-iot/carillon/bridge"), key, st.Pseudonym}, nil
}

// A Step is a part of a request that is over.
type Step struct {
	Name string
	From time.Time      // its beginning
	Kind trace.SpanKind // what it is towards others; 0 for nothing
	// Result is what it has come to, in a word of a closed list; often "".
	Result string
	Failed bool
}

// Step records a part of a request that is over now.
func (t *Tracer) Step(k store.Key, s Step) {
	if t == nil {
		return
	}
	id, root := t.ids(k)
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: root, TraceFlags: trace.FlagsSampled, Remote: true})
	options := []trace.SpanStartOption{trace.WithTimestamp(s.From), trace.WithSpanKind(s.Kind)}
	if s.Result != "" {
		options = append(options, trace.WithAttributes(attribute.String("carillon.result", s.Result)))
	}
	_, span := t.tracer.Start(trace.ContextWithSpanContext(context.Background(), parent), s.Name, options...)
	if s.Failed {
		span.SetAttributes(attribute.String("error.type", s.Result))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// Request records a whole request that is over now. It is called once, by whoever
// has ended it.
func (t *Tracer) Request(k store.Key, name string, from time.Time, outcome string) {
	if t == nil {
		return
	}
	id, root := t.ids(k)
	_, span := t.tracer.Start(context.WithValue(context.Background(), idsKey{}, ids{id, root}), name,
		trace.WithNewRoot(), trace.WithTimestamp(from), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(
			attribute.String("carillon.device", t.pseudonym(k.Device)),
			attribute.String("carillon.request", k.ID.String()),
			attribute.String("carillon.outcome", outcome),
		))
	span.End()
}

// ID returns the id of a request's trace for the log; "" of a nil Tracer.
func (t *Tracer) ID(k store.Key) string {
	if t == nil {
		return ""
	}
	id, _ := t.ids(k)
	return id.String()
}

func (t *Tracer) ids(k store.Key) (id trace.TraceID, root trace.SpanID) {
	mac := hmac.New(sha256.New, t.key)
	mac.Write(k.ID[:])
	mac.Write([]byte(k.Device))
	sum := mac.Sum(nil)
	copy(id[:], sum)
	copy(root[:], sum[len(id):])
	return id, root
}
