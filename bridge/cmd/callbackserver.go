package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba"
)

// Limits of the callback: how many connections there are at the same time, and
// how long those may take to end that are there when the bridge stops.
const (
	callbackConns = 512
	callbackDrain = 5 * time.Second
)

// listenForProvider opens the callback, and returns what serves it until its ctx
// is done and then ends what has begun. Without a callback that only waits.
func (s *settings) listenForProvider(p *parts, b *bridge.Bridge, log *slog.Logger) (serve func(context.Context) error, err error) {
	if s.callback.address == "" {
		return func(ctx context.Context) error { <-ctx.Done(); return nil }, nil
	}
	cfg := b.Notifications()
	cfg.Client, cfg.VerifyPeer = p.client, p.callback.verify
	h, err := ciba.NewNotificationHandler(cfg)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", s.callback.address)
	if err != nil {
		return nil, fmt.Errorf("--callback: %w", err)
	}
	server := callbackServer(h, log)
	server.TLSConfig = p.callback.tls
	return func(ctx context.Context) error {
		if err := serveUntil(ctx, server, netutil.LimitListener(listener, callbackConns)); err != nil {
			return fmt.Errorf("--callback: %w", err)
		}
		return nil
	}, nil
}

// callbackServer returns a server of h that nobody can hold on to. Its only path
// is callbackPath. It never redirects, as a ServeMux may.
func callbackServer(h http.Handler, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // one request at a time on each connection
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != callbackPath {
				w.Header().Set("Connection", "close") // there are not many
				w.WriteHeader(http.StatusNotFound)
				return
			}
			h.ServeHTTP(w, r)
		}),
		Protocols:         protocols,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      45 * time.Second, // what is pushed is verified and recorded meanwhile
		IdleTimeout:       15 * time.Second, // an idle connection keeps another one out
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // whatever the internet sends
	}
}

// serveUntil serves until ctx is done, and then lets requests end for a while.
func serveUntil(ctx context.Context, server *http.Server, l net.Listener) error {
	ended := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			ended <- server.ServeTLS(l, "", "")
		} else {
			ended <- server.Serve(l)
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), callbackDrain)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		_ = server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
