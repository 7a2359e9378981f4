package cmd

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/trace"
)

// lastSpans is how long the last spans may take to the collector when the bridge
// ends.
const lastSpans = 3 * time.Second

// collector returns the URL at which a collector takes traces, or "" for none.
// --otlp-endpoint has the meaning of OTEL_EXPORTER_OTLP_ENDPOINT, to which a
// collector's path is appended; OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is a whole URL
// (OpenTelemetry Protocol Exporter, section "Endpoint URLs for OTLP/HTTP").
func (s *settings) collector() (string, error) {
	env := make(map[string]string)
	for _, e := range s.environ {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	name, value := "--otlp-endpoint", s.otlpEndpoint
	for _, standard := range []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		if value == "" {
			name, value = standard, env[standard]
		}
	}
	if value == "" {
		return "", nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", usagef("%s is %q, want http://host:port or https://host:port", name, value)
	}
	if name == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" {
		return u.String(), nil
	}
	return u.JoinPath("v1", "traces").String(), nil
}

// requireTraces makes sure of the settings of traces.
func (s *settings) requireTraces() error {
	if s.traceRatio < 0 || s.traceRatio > 1 {
		return usagef("--trace-ratio is %v, want 0 to 1", s.traceRatio)
	}
	_, err := s.collector()
	return err
}

// startTraces completes p with what takes spans, if there is a collector. The
// caller calls stop when no more spans come.
func (s *settings) startTraces(ctx context.Context, p *parts, log *slog.Logger) (stop func(), err error) {
	endpoint, err := s.collector()
	if err != nil || endpoint == "" {
		return func() {}, err
	}
	otlp, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "carillon-bridge"),
		attribute.String("service.version", version()),
		attribute.String("service.instance.id", p.self.ID),
	), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(&exporter{SpanExporter: otlp, log: log, metrics: p.config.Metrics}),
		sdk.WithIDGenerator(trace.IDs{}),
		sdk.WithSampler(sdk.TraceIDRatioBased(s.traceRatio)), // by the id: all bridges decide alike
		sdk.WithResource(about),
	)
	p.config.Traces = provider
	log.Info("traces go to a collector", "endpoint", endpoint, "ratio", s.traceRatio)
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSpans)
		defer cancel()
		_ = provider.Shutdown(ctx) // what it could not send, exporter has said
	}, nil
}

// An exporter says that spans cannot be sent, once for each time that it begins:
// by itself, the SDK says it for each batch, past the log.
type exporter struct {
	sdk.SpanExporter
	log     *slog.Logger
	metrics *metrics.Set
	failing atomic.Bool
}

// ExportSpans implements [sdk.SpanExporter].
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	result := metrics.SpansSent
	if err != nil {
		result = metrics.SpansLost
	}
	e.metrics.Exported(result, len(spans))
	switch was := e.failing.Swap(err != nil); {
	case err != nil && !was:
		e.log.Warn("traces are lost", "error", err)
	case err == nil && was:
		e.log.Info("traces arrive again")
	}
	return nil
}

// version is that of the build.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(info.Main.Version, "unknown")
	}
	return "unknown"
}
