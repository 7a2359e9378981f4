package cmd

import (
	"strings"
	"testing"
)

// Where traces go, by flag and by the standard variables.
func TestCollector(t *testing.T) {
	const base, whole = "OTEL_EXPORTER_OTLP_ENDPOINT=", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="
	for _, c := range []struct {
		flag    string
		environ []string
		want    string // or a part of the error
	}{
		{"", nil, ""},
		{"", []string{"OTHER=x", base}, ""},
		{"http://127.0.0.1:4318", nil, "http://127.0.0.1:4318/v1/traces"},
		{"https://otel.example.com/in/", nil, "https://otel.example.com/in/v1/traces"},
		{"", []string{base + "http://a:1"}, "http://a:1/v1/traces"},
		{"", []string{base + "http://a:1", whole + "http://b:2/x"}, "http://b:2/x"},
		{"http://c:3", []string{whole + "http://b:2/x"}, "http://c:3/v1/traces"},
		{"127.0.0.1:4318", nil, `--otlp-endpoint is "127.0.0.1:4318"`},
		{"", []string{base + "grpc://a:1"}, `OTEL_EXPORTER_OTLP_ENDPOINT is "grpc://a:1"`},
	} {
		s := settings{otlpEndpoint: c.flag, environ: c.environ}
		got, err := s.collector()
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%q, %q: %q, want %q", c.flag, c.environ, got, c.want)
		}
	}
}
