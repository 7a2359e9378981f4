package trace

import (
	"context"
	"crypto/rand"

	"go.opentelemetry.io/otel/trace"
)

// IDs gives roots the ids of their requests, and everything else random ones. It
// is for the provider that a [Tracer] is made of.
type IDs struct{}

type (
	idsKey struct{} // of a context
	ids    struct {
		trace trace.TraceID
		root  trace.SpanID
	}
)

// NewIDs returns the ids of a root.
func (IDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if of, ok := ctx.Value(idsKey{}).(ids); ok {
		return of.trace, of.root
	}
	var of ids
	rand.Read(of.trace[:])
	rand.Read(of.root[:])
	return of.trace, of.root
}

// NewSpanID returns the id of a step.
func (IDs) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	rand.Read(id[:])
	return id
}
