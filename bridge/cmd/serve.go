package cmd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/broker/link"
)

// logger returns a logger as configured.
func (s *settings) logger(to io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return nil, usagef("--log-level is %q, want debug, info, warn or error", s.logLevel)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch s.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(to, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(to, opts)), nil
	}
	return nil, usagef("--log-format is %q, want text or json", s.logFormat)
}

// serve runs a bridge until ctx is done. Each value of reload has it read files
// again.
func (s *settings) serve(ctx context.Context, logTo io.Writer, reload <-chan os.Signal) error {
	collectSeldom()
	log, err := s.logger(logTo)
	if err != nil {
		return err
	}
	p, err := s.build(log)
	if err != nil {
		return err
	}
	if err := expired(p.cert.Leaf, time.Now()); err != nil {
		log.Error("no broker lets this bridge in: its certificate is over", "file", s.cert, "error", err)
	}
	db, err := s.database()
	if err != nil {
		return err
	}
	keys, err := s.openStoreKeys(log)
	if err != nil {
		return err
	}
	if p.config.Store, err = store.Open(ctx, store.Config{Database: db, Keys: keys, Meter: p.config.Metrics}); err != nil {
		return fmt.Errorf("--db: %w", err)
	}
	defer p.config.Store.Close()
	if p.config.SealKeys, err = s.openSealKeys(p.config.Store, log); err != nil {
		return err
	}
	stopTraces, err := s.startTraces(ctx, p, log)
	if err != nil {
		return err
	}
	defer stopTraces()
	return s.run(ctx, p, db, reload, log)
}

// run connects the parts and works with them.
func (s *settings) run(ctx context.Context, p *parts, db store.Database, reload <-chan os.Signal, log *slog.Logger) error {
	renewer, revoked, err := s.newAuthority(p, log)
	if err != nil {
		return err
	}
	if revoked != nil {
		p.config.Revoked = revoked.Revoked
	}
	var b *bridge.Bridge
	l, err := s.newLink(p, func(topic string, payload []byte) { b.Handle(topic, payload) }, log)
	if err != nil {
		return usagef("--broker: %w", err)
	}
	p.config.Publisher = l
	if b, err = bridge.New(p.config); err != nil {
		return err
	}
	serveOps, err := s.serveOps(p, b, l)
	if err != nil {
		return err
	}
	serveProvider, err := s.listenForProvider(p, b, log)
	if err != nil {
		return err
	}
	p.watch(l, revoked)
	g, ctx := errgroup.WithContext(ctx)
	if renewer != nil {
		g.Go(func() error { return renewer.Run(ctx) })
		g.Go(func() error { return revoked.Run(ctx) })
	}
	// The bridge outlives the callback, whose last notifications it records; the
	// link outlives the bridge, which publishes to the last, and somebody may want to
	// know how it ends.
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error {
		defer stopWork()
		return serveProvider(ctx)
	})
	lasting, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error {
		defer stop()
		return b.Run(working)
	})
	g.Go(func() error { return l.Run(lasting) })
	g.Go(func() error {
		<-ctx.Done()
		leave(lasting, l, log)
		return nil
	})
	g.Go(func() error { return serveOps(lasting) })
	g.Go(func() error {
		s.reloads(ctx, reload, p, b, log)
		return nil
	})
	log.Info("carillon-bridge is running", "identity", p.self.String(), "broker", s.broker, "issuer", s.issuer, "db", db.String())
	err = g.Wait()
	log.Info("carillon-bridge has stopped")
	return err
}

// leave has the broker give what devices send to the other bridges.
func leave(ctx context.Context, l *link.Link, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := l.Unsubscribe(ctx); err != nil && ctx.Err() == nil {
		log.Warn("leaving the other bridges", "error", err)
	}
}
