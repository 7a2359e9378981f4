// Package broker is an MQTT 3.1.1 broker that carries Carillon's two topics
// between devices and bridges, and nothing else. It wraps
// github.com/mochi-mqtt/server, which knows MQTT, with what that library leaves
// to its user: who somebody is, what they may do, and what they may cost.
//
// # Identity
//
// A client is who its verified certificate says (see mtls.Identity). Its client
// id must be [link.ClientID] of that identity, so nobody can take over the
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
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/pki/mtls"
	mqtt "github.com/mochi-mqtt/server/v2"
	"golang.org/x/time/rate"
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
	limits, err := cfg.Limits.withDefaults()
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

	b.cfg.Logger.Info("broker listening", "address", b.cfg.Listener.Addr())
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
	c, ok := b.registry.get(link.ClientID(who))
	if ok {
		c.end(errKicked)
	}
	return ok
}

// Connected reports whether an identity has a session now.
func (b *Broker) Connected(who mtls.Identity) bool {
	_, ok := b.registry.get(link.ClientID(who))
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

// accept serves each connection in a goroutine of its own. It returns nil when
// ctx has ended, and the listener's error when somebody else has closed it.
// Other errors, such as too many open files, pass.
func (b *Broker) accept(ctx context.Context) error {
	for failures := 0; ; {
		tcp, err := b.cfg.Listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				tcp.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("broker: listener closed: %w", err)
		case err != nil:
			wait := min(5*time.Millisecond<<min(failures, 8), time.Second)
			failures++
			b.cfg.Logger.Warn("cannot accept a connection", "error", err, "retry_in", wait)
			sleep(ctx, wait)
			continue
		}
		failures = 0
		b.counters.accepted.Add(1)
		c, err := b.registry.admit(ctx, tcp)
		if err != nil {
			tcp.Close()
			return nil
		}
		b.clients.Go(func() { b.serve(ctx, c) })
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// serve owns one connection from its admission to its end.
func (b *Broker) serve(ctx context.Context, c *conn) {
	defer func() { b.registry.leave(c, link.ClientID(c.who)) }()
	defer c.end(nil)
	defer b.survive(c)
	if err := b.handshake(ctx, c); err != nil {
		b.counters.handshakesFailed.Add(1)
		b.complain(c, "handshake failed", err)
		return
	}
	err := b.mqtt.EstablishConnection("tls", c)
	c.Close()
	b.farewell(c, err)
}

// handshake completes TLS and learns who it is. The deadline also covers the
// CONNECT packet; the library moves it when it has accepted one.
func (b *Broker) handshake(ctx context.Context, c *conn) error {
	if err := c.tcp.SetDeadline(c.since.Add(b.limits.ConnectTimeout)); err != nil {
		return err
	}
	secure := tls.Server(c.tcp, b.cfg.TLS)
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	state := secure.ConnectionState()
	who, err := mtls.PeerIdentity(state)
	if err != nil {
		return err
	}
	c.Conn, c.who, c.leaf = secure, who, state.PeerCertificates[0]
	l := b.limits
	c.rate = rate.NewLimiter(rate.Limit(l.DeviceRate), l.DeviceBurst)
	c.out = &outbox{to: secure, limit: l.DeviceBuffer, timeout: l.WriteTimeout, fail: c.end}
	if who.Role == mtls.RoleBridge {
		c.rate = rate.NewLimiter(rate.Limit(l.BridgeRate), l.BridgeBurst)
		c.out.limit = l.BridgeBuffer
	}
	return b.valid(c)
}

// establish makes an accepted CONNECT the one session of its identity.
func (b *Broker) establish(c *conn) error {
	took, err := b.registry.claim(c, link.ClientID(c.who))
	if err != nil {
		return err
	}
	b.counters.sessions.Add(1)
	if took {
		b.counters.takeovers.Add(1)
	}
	b.cfg.Logger.Debug("client connected", "identity", c.who, "remote", c.RemoteAddr(), "took_over", took)
	return nil
}

// farewell says in the log why a connection is over; err is the library's
// opinion.
func (b *Broker) farewell(c *conn, err error) {
	<-c.ended
	if c.session == nil {
		b.counters.refused.Add(1)
		if c.cause != nil {
			err = c.cause
		}
		b.complain(c, "refused a connection", err)
		return
	}
	switch c.cause {
	case errRevoked:
		b.counters.revoked.Add(1)
	case errExpired:
		b.counters.expired.Add(1)
	default:
		b.cfg.Logger.Debug("client disconnected", "identity", c.who, "remote", c.RemoteAddr(), "cause", c.cause, "error", err)
		return
	}
	b.cfg.Logger.Warn("ended a session", "identity", c.who, "remote", c.RemoteAddr(), "cause", c.cause)
}

// survive keeps a panic, in the library or in Config.Revoked, from ending
// more than the connection it came from.
func (b *Broker) survive(c *conn) {
	cause := recover()
	if cause == nil {
		return
	}
	b.counters.panics.Add(1)
	b.cfg.Logger.Error("panic while serving a client", "identity", c.who, "remote", c.RemoteAddr(),
		"panic", cause, "stack", string(debug.Stack()))
	c.end(fmt.Errorf("panic: %v", cause))
	b.hook.forget(c)
}

// complain logs what a client did wrong, unless it has given cause too often of
// late.
func (b *Broker) complain(c *conn, what string, err error) {
	log, limiter := b.cfg.Logger.With("identity", c.who), c.complaints
	if c.who.ID == "" {
		log, limiter = b.cfg.Logger, b.strange
	}
	if limiter.Allow() {
		log.Warn(what, "remote", c.RemoteAddr(), "error", err)
	}
}
