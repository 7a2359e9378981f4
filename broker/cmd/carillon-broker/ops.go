package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// listenOps returns nil if nobody is to watch.
func (s *settings) listenOps() (net.Listener, error) {
	if s.ops == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", s.ops)
	if err != nil {
		return nil, fmt.Errorf("--ops: %w", err)
	}
	return l, nil
}

// serveOps answers those who watch until ctx ends.
func serveOps(ctx context.Context, l net.Listener, metrics prometheus.Gatherer, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	log.Info("operations listening", "address", l.Addr().String())
	if err := server.Serve(l); ctx.Err() == nil {
		return fmt.Errorf("--ops: %w", err)
	}
	return nil
}
