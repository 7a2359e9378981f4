package metrics

import "github.com/prometheus/client_golang/prometheus"

// Spans are what has become of spans on their way to a collector.
type Spans string

// What can become of them.
const (
	SpansSent Spans = "sent"
	SpansLost Spans = "lost" // the collector did not take them
)

func (s *Set) newSpans() family[prometheus.Counter] {
	return s.counters("trace_spans_total", "Spans of traces, by what became of them on their way to the collector.", "result", texts(SpansSent, SpansLost))
}

// Exported counts spans on their way to a collector.
func (s *Set) Exported(what Spans, n int) {
	if s != nil {
		s.spans.with(string(what)).Add(float64(n))
	}
}
