package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/pki/mtls"
)

func (s *settings) listenMetrics() (net.Listener, error) {
	if s.metrics == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", s.metrics)
	if err != nil {
		return nil, fmt.Errorf("--metrics: %w", err)
	}
	return l, nil
}

// serveMetrics answers until ctx ends.
func serveMetrics(ctx context.Context, l net.Listener, b *broker.Broker, list *mtls.RevocationList, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		writeMetrics(w, b.Stats(), list)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	log.Info("metrics listening", "address", l.Addr().String())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// writeMetrics writes the text format of Prometheus.
func writeMetrics(w io.Writer, s broker.Stats, list *mtls.RevocationList) {
	write := func(kind, name, help string, value any) {
		fmt.Fprintf(w, "# HELP carillon_broker_%[1]s %[2]s\n# TYPE carillon_broker_%[1]s %[3]s\ncarillon_broker_%[1]s %[4]v\n", name, help, kind, value)
	}
	gauge := func(name, help string, value any) { write("gauge", name, help, value) }
	counter := func(name, help string, value uint64) { write("counter", name+"_total", help, value) }

	gauge("devices", "Connected devices.", s.Devices)
	gauge("bridges", "Connected bridges.", s.Bridges)
	gauge("pending", "Connections that have not got as far as MQTT.", s.Pending)
	counter("accepted", "TCP connections.", s.Accepted)
	counter("evicted", "Slow connections that lost their place to newer ones.", s.Evicted)
	counter("handshakes_failed", "TLS handshakes that failed.", s.HandshakesFailed)
	counter("refused", "Connections refused after the handshake.", s.Refused)
	counter("sessions", "Accepted CONNECTs.", s.Sessions)
	counter("takeovers", "Sessions that replaced one of the same identity.", s.Takeovers)
	counter("revoked", "Sessions ended because of a revocation.", s.Revoked)
	counter("expired", "Sessions ended because the certificate had expired.", s.Expired)
	counter("panics", "Sessions ended by a defect of the broker.", s.Panics)
	counter("messages_in", "Messages received.", s.MessagesIn)
	counter("messages_out", "Messages sent.", s.MessagesOut)
	counter("bytes_in", "Bytes of MQTT received.", s.BytesIn)
	counter("bytes_out", "Bytes of MQTT sent.", s.BytesOut)
	counter("publishes_denied", "Messages dropped because the sender may not.", s.PublishesDenied)
	counter("subscriptions_denied", "Topic filters refused.", s.SubscriptionsDenied)
	counter("throttled", "Packets that had to wait for their sender's rate.", s.Throttled)
	counter("overflowed", "Messages dropped because the receiver's queue was full.", s.Overflowed)
	counter("unacknowledged", "Messages dropped because the receiver had acknowledged too few.", s.Unacknowledged)
	if list != nil {
		status := list.Status()
		gauge("revocations", "Revoked certificates known.", status.Entries)
		age := -1.0
		if status.Loaded() {
			age = status.Age(time.Now()).Seconds()
		}
		gauge("revocations_age_seconds", "Time since the revocation list last came, -1 for never.", age)
	}
}
