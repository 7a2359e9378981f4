package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
)

func execServe(s *settings, stderr io.Writer) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		if err := s.check(args); err != nil {
			return err
		}
		return s.serve(ctx, s.logger(stderr))
	}
}

func (s *settings) logger(w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{}
	if s.verbose {
		opts.Level = slog.LevelDebug
	}
	if s.logJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// serve turns strings into what a broker needs and runs it. The parts stop
// together, whichever ends first.
func (s *settings) serve(ctx context.Context, log *slog.Logger) error {
	files := &mtls.Files{CertFile: s.cert, KeyFile: s.key, Logger: log}
	cert, err := files.Load()
	if err != nil {
		return fmt.Errorf("--cert, --key: %w", err)
	}
	if id, err := mtls.IdentityOf(cert.Leaf); err == nil && id.Role != mtls.RoleBroker {
		return fmt.Errorf("--cert: %q is a certificate of %s, want one of the role %q", s.cert, id, mtls.RoleBroker)
	}
	if end := cert.Leaf.NotAfter; time.Now().After(end) {
		log.Error("the broker's certificate has expired, and clients refuse it: enrol anew, into the same files", "file", s.cert, "expired", end.UTC())
	}
	roots, err := mtls.ReadCertificates(s.roots)
	if err != nil {
		return fmt.Errorf("--roots: %w", err)
	}
	var authority *enroll.Client
	if s.authority != "" {
		authority = &enroll.Client{URL: s.authority, Roots: mtls.Pool(roots...)}
	}
	var b *broker.Broker // set before anything runs that may sweep
	list, err := s.revocations(ctx, authority, cert.Certificate, roots, func() { b.Sweep() }, log)
	if err != nil {
		return err
	}
	b, err = s.broker(files, roots, list, log)
	if err != nil {
		return err
	}
	defer b.Close()
	ops, err := s.listenOps()
	if err != nil {
		return err
	}

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return endsAll(b.Run(ctx)) })
	if list != nil {
		b.Sweep() // what the first list says, fetched before there was a broker
		group.Go(func() error { return list.Run(ctx) })
	}
	if authority != nil {
		renewer := &enroll.Renewer{Client: authority, Certificate: files.Certificate, Store: files.Store, Logger: log}
		group.Go(func() error { return renewer.Run(ctx) })
	}
	if ops != nil {
		group.Go(func() error { return serveOps(ctx, ops, newMetrics(b, files, list), log) })
	}
	if err := group.Wait(); err != nil && !errors.Is(err, errStopped) {
		return err
	}
	return nil
}

// errStopped ends the other parts after the broker has stopped without an error.
var errStopped = errors.New("stopped")

func endsAll(err error) error {
	if err == nil {
		return errStopped
	}
	return err
}

func (s *settings) broker(files *mtls.Files, roots []*x509.Certificate, list *mtls.RevocationList, log *slog.Logger) (*broker.Broker, error) {
	var revoked func(*x509.Certificate) bool
	if list != nil {
		revoked = list.Revoked
	}
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	b, err := broker.New(broker.Config{
		Listener: l,
		TLS:      mtls.ServerConfig(mtls.Pool(roots...), files.Certificate, revoked),
		Revoked:  revoked,
		Limits:   s.limits,
		Logger:   log,
	})
	if err != nil {
		l.Close()
		return nil, err
	}
	return b, nil
}
