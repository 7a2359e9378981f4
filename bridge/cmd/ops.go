package cmd

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/ops"
	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// serveOps answers those who watch until ctx is done. It listens before it
// returns, so that a port in use is an error of the start.
func (s *settings) serveOps(p *parts, b *bridge.Bridge, l *link.Link) (serve func(context.Context) error, err error) {
	if s.ops == "" {
		return func(context.Context) error { return nil }, nil
	}
	listener, err := net.Listen("tcp", s.ops)
	if err != nil {
		return nil, fmt.Errorf("--ops: %w", err)
	}
	server := ops.Server(ops.Handler(ops.Config{
		Live: []ops.Check{{Name: "database", Probe: p.config.Store.Ping}},
		Ready: []ops.Check{
			{Name: "bridge", Probe: func(context.Context) error { return b.Ready() }},
			{Name: "broker", Probe: func(context.Context) error { return connected(l.Status()) }},
			{Name: "provider", Probe: func(ctx context.Context) error { _, err := p.client.Metadata(ctx); return err }},
		},
		Metrics: p.config.Metrics.Registry(),
	}))
	return func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { _ = server.Close() })()
		if err := server.Serve(listener); ctx.Err() == nil {
			return fmt.Errorf("--ops: %w", err)
		}
		return nil
	}, nil
}

// connected says why the bridge is not connected to the broker.
func connected(s link.Status) error {
	switch {
	case s.State == link.Up:
		return nil
	case s.Err == nil:
		return errors.New("no connection yet")
	}
	return fmt.Errorf("no connection since %s, %d attempts have failed: %w", s.Since.UTC().Format(time.RFC3339), s.Failures, s.Err)
}

// watch has exported what the bridge itself does not know.
func (p *parts) watch(l *link.Link, revoked *mtls.RevocationList) {
	m := p.config.Metrics
	m.WatchLink(func() metrics.Link {
		s := l.Status()
		return metrics.Link{Up: s.State == link.Up, Connections: s.Connections, Received: s.Received, Dropped: s.Dropped}
	})
	m.WatchCertificate("bridge", func() time.Time { return notAfter(p.files) })
	if revoked != nil {
		m.WatchRevocations(func() time.Time { return revoked.Status().Fetched })
	}
}

// notAfter is when the first certificate of the chain in use ends: without its
// issuer, the bridge's own is of no use.
func notAfter(files *mtls.Files) (first time.Time) {
	cert, err := files.Certificate()
	if err != nil {
		return time.Time{}
	}
	for _, der := range cert.Certificate {
		c, err := x509.ParseCertificate(der)
		if err == nil && (first.IsZero() || c.NotAfter.Before(first)) {
			first = c.NotAfter
		}
	}
	return first
}
