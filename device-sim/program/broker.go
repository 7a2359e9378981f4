package program

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// BrokerConfig is what a broker in a child process works with.
type BrokerConfig struct {
	Listen    string // host:port
	Cert, Key string // PEM files
	Roots     string // PEM file: whose devices and bridges are let in
}

func serveBroker(ctx context.Context, cfg BrokerConfig, log *slog.Logger) error {
	files := &mtls.Files{CertFile: cfg.Cert, KeyFile: cfg.Key, Logger: log}
	roots, err := mtls.ReadCertificates(cfg.Roots)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return err
	}
	b, err := broker.New(broker.Config{
		Listener: l, TLS: mtls.ServerConfig(mtls.Pool(roots...), files.Certificate, nil), Logger: log,
	})
	if err != nil {
		l.Close()
		return err
	}
	err = b.Run(ctx)
	log.Info("the broker has stopped", "stats", fmt.Sprintf("%+v", b.Stats()))
	return err
}
