package world

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// brokerPart is the broker, which can be started again.
type brokerPart struct {
	address string
	cert    mtls.CertificateFunc
	revoked *mtls.RevocationList

	mu      sync.Mutex // guards the fields below
	running *broker.Broker
	part    *part
}

func (w *World) startBroker(ctx context.Context, l net.Listener) error {
	files, err := w.serverFiles(ctx, mtls.RoleBroker, "broker")
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	list, err := mtls.NewRevocationList(mtls.RevocationConfig{
		Source: w.authorityClient().CRL, Issuers: []*x509.Certificate{w.authority.Intermediate()},
		Logger: w.cfg.Logger.With("part", "broker"),
	})
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if err := list.Refresh(ctx); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	w.begin("broker's revocation list", list.Run)
	w.broker = &brokerPart{address: l.Addr().String(), cert: files.Certificate, revoked: list}
	return w.runBroker(l)
}

func (w *World) runBroker(l net.Listener) error {
	b, err := broker.New(broker.Config{
		Listener: l,
		TLS:      mtls.ServerConfig(w.roots, w.broker.cert, w.broker.revoked.Revoked),
		Revoked:  w.broker.revoked.Revoked,
		Logger:   w.cfg.Logger.With("part", "broker"),
	})
	if err != nil {
		l.Close()
		return err
	}
	p := w.begin("broker", b.Run)
	w.broker.mu.Lock()
	w.broker.running, w.broker.part = b, p
	w.broker.mu.Unlock()
	return nil
}

// Broker is the broker's address, host:port.
func (w *World) Broker() string { return w.broker.address }

func (p *brokerPart) now() (*broker.Broker, *part) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running, p.part
}

// RestartBroker stops the broker, with all that it has in memory, and starts
// another on the same port.
func (w *World) RestartBroker(ctx context.Context) error {
	w.journal.tell(Event{Who: "broker", What: "stops", Text: "stops, and forgets everything"})
	_, p := w.broker.now()
	if err := p.stop(); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", w.broker.address)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if err := w.runBroker(l); err != nil {
		return err
	}
	w.journal.tell(Event{Who: "broker", What: "starts", Text: "starts again"})
	return nil
}

// PublishAsOperator publishes by the hand of whoever runs the broker: no rule of
// the broker applies.
func (w *World) PublishAsOperator(topic schemas.Topic, payload []byte) error {
	b, _ := w.broker.now()
	w.journal.tell(Event{Who: "broker", What: "operator", Text: fmt.Sprintf("its operator publishes %d bytes on %v", len(payload), topic)})
	return b.Publish(topic.String(), payload)
}

func (w *World) bridgeConnected() error {
	b, _ := w.broker.now()
	if !b.Connected(mtls.Identity{Role: mtls.RoleBridge, ID: bridgeID}) {
		return errors.New("the bridge is not connected to the broker")
	}
	return nil
}
