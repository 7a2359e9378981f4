package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/broker/link"
)

// serveHealth answers /healthz (the process lives and its database answers) and
// /readyz (it is connected to the broker as well).
func (s *settings) serveHealth(ctx context.Context, g *errgroup.Group, st *store.Store, l *link.Link) error {
	if s.health == "" {
		return nil
	}
	listener, err := net.Listen("tcp", s.health)
	if err != nil {
		return fmt.Errorf("--health: %w", err)
	}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { answer(w, st.Ping(r.Context())) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		err := st.Ping(r.Context())
		if status := l.Status(); err == nil && status.State != link.Up {
			err = errors.New("no connection to the broker")
		}
		answer(w, err)
	})
	server := healthServer(mux)
	g.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("--health: %w", err)
		}
		return nil
	})
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return nil
}

// healthServer returns a server that nobody can hold on to: each connection costs
// the bridge a descriptor.
func healthServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:        h,
		ReadTimeout:    5 * time.Second,
		WriteTimeout:   10 * time.Second,
		IdleTimeout:    30 * time.Second,
		MaxHeaderBytes: 8 << 10,
	}
}
