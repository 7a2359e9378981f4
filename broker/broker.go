// Package broker is an MQTT 3.1.1 broker that carries Carillon's two topics
// between devices and bridges, and nothing else. It wraps
// github.com/mochi-mqtt/server, which knows MQTT, with what that library leaves
// to its user: who somebody is, what they may do, and what they may cost.
//
// # Identity
//
// A client is who its verified certificate says (see mtls.Identity). Its client
// id must be [mtls.Identity.ClientID], so nobody can take over the
// session of another identity; a second connection of the same identity replaces
// the first. User names and passwords are ignored. What a client may do follows
// from its identity alone and is written down in policy.go.
//
// # Delivery
//
// The broker stores nothing. Sessions are clean, there are no retained messages
// and no wills, and a message for a client that is not connected is dropped. An
// acknowledgement says that the broker has received a message, not that anybody
// else will. Agents and bridges repeat what matters (see package link).
//
// A forbidden message is acknowledged, dropped, counted and logged. Ending the
// connection instead would make an MQTT 3.1.1 client come back and send it
// again.
//
// # What ends what
//
// Nothing that a client sends or leaves out ends more than its own connection.
// Run ends with its context, with Close, or with the error of a listener that
// has been closed by somebody else.
package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
	"golang.org/x/time/rate"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// Config says what a broker listens on and whom it trusts. Listener and TLS are
// required.
type Config struct {
	// Listener accepts plain TCP connections (TLS is done here). The broker
	// closes it when Run ends, and on Close.
	Listener net.Listener
	// TLS is the server's configuration, for which mtls.ServerConfig is meant.
	// It must demand TLS 1.3 and verify client certificates. The broker adds
	// that the certificate is one of a device or a bridge.
	TLS *tls.Config
	// Revoked says whether a certificate has been revoked. It is asked after
	// each handshake, for each message that a client sends or is to receive,
	// and by each sweep, and must therefore answer from memory. Nil means that
	// none ever is.
	Revoked func(*x509.Certificate) bool
	// Limits bound what clients can cost.
	Limits Limits
	// Logger hears about clients and refusals, never about contents. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// A Broker serves the clients of one listener. All methods may be called
// concurrently.
type Broker struct {
	cfg      Config
	limits   Limits
	mqtt     *mqtt.Server
	hook     *hook
	registry *registry
	counters counters
	strange  *rate.Limiter // lines in the log about those without an identity
	clients  sync.WaitGroup

	started atomic.Bool
	life    context.Context // done after Close
	quit    context.CancelFunc
	ended   chan struct{} // closed when Run has returned
}

// New checks cfg and returns a broker that does nothing until Run.
func New(cfg Config) (*Broker, error) {
	switch {
	case cfg.Listener == nil:
		return nil, errors.New("broker: no listener given")
	case cfg.TLS == nil:
		return nil, errors.New("broker: no TLS configuration given")
	case cfg.TLS.ClientAuth != tls.RequireAndVerifyClientCert:
		return nil, fmt.Errorf("broker: TLS client authentication is %v, want %v", cfg.TLS.ClientAuth, tls.RequireAndVerifyClientCert)
	case cfg.TLS.MinVersion < tls.VersionTLS13:
		return nil, fmt.Errorf("broker: least TLS version is %s, want %s",
			tls.VersionName(cfg.TLS.MinVersion), tls.VersionName(tls.VersionTLS13))
	}
	limits, err := cfg.Limits.WithDefaults()
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.TLS = mtls.RequireRole(cfg.TLS, mtls.RoleDevice, mtls.RoleBridge)
	b := &Broker{
		cfg:      cfg,
		limits:   limits,
		mqtt:     newServer(limits),
		registry: newRegistry(limits),
		strange:  rate.NewLimiter(5, 20),
		ended:    make(chan struct{}),
	}
	b.life, b.quit = context.WithCancel(context.Background())
	b.hook = &hook{b: b}
	if err := b.mqtt.AddHook(b.hook, nil); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	return b, nil
}

// Run serves clients until ctx ends or Close is called, and then ends every
// connection, waits for its goroutines and returns nil. Run can be called once.
func (b *Broker) Run(ctx context.Context) error {
	if b.life.Err() != nil || !b.started.CompareAndSwap(false, true) {
		return errors.New("broker: it has been closed or run before")
	}
	defer close(b.ended)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.life, cancel)()
	defer context.AfterFunc(ctx, func() { b.cfg.Listener.Close() })()

	b.cfg.Logger.Info("broker listening", "address", b.cfg.Listener.Addr().String())
	var sweeper sync.WaitGroup
	sweeper.Go(func() { b.sweepEvery(ctx) })
	err := b.accept(ctx)

	cancel()
	b.registry.stop()
	b.clients.Wait()
	sweeper.Wait()
	b.cfg.Listener.Close()
	if err := b.mqtt.Close(); err != nil {
		b.cfg.Logger.Warn("stopping the MQTT server", "error", err)
	}
	return err
}

// Close ends Run and waits for it, and closes the listener.
func (b *Broker) Close() error {
	b.quit()
	if b.started.Load() {
		<-b.ended
		return nil
	}
	return b.cfg.Listener.Close()
}

// Disconnect ends the session of an identity and reports whether there was one.
// Unless its certificate is revoked, the client will come back.
func (b *Broker) Disconnect(who mtls.Identity) bool {
	c, ok := b.registry.get(who.ClientID())
	if ok {
		c.end(errKicked)
	}
	return ok
}

// Connected reports whether an identity has a session now.
func (b *Broker) Connected(who mtls.Identity) bool {
	_, ok := b.registry.get(who.ClientID())
	return ok
}

// Publish delivers a message as only the operator of a broker can: from nobody,
// to any topic. Who may receive it is still the policy's to say. That there is
// such a function in every broker is why nothing in Carillon believes a message
// for having come through one.
func (b *Broker) Publish(topic string, payload []byte) error {
	if err := b.hook.inject(topic, payload); err != nil {
		return fmt.Errorf("broker: publishing to %q: %w", topic, err)
	}
	return nil
}
