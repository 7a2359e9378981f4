package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"time"

	"golang.org/x/time/rate"

	"github.com/carillon-iot/carillon/pki/mtls"
)

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
	defer func() { b.registry.leave(c, c.who.ClientID()) }()
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
	took, err := b.registry.claim(c, c.who.ClientID())
	if err != nil {
		return err
	}
	b.counters.sessions.Add(1)
	if took {
		b.counters.takeovers.Add(1)
	}
	b.cfg.Logger.Debug("client connected", "identity", c.who.String(), "remote", c.RemoteAddr().String(), "took_over", took)
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
		b.cfg.Logger.Debug("client disconnected", "identity", c.who.String(), "remote", c.RemoteAddr().String(), "cause", c.cause, "error", err)
		return
	}
	b.cfg.Logger.Warn("ended a session", "identity", c.who.String(), "remote", c.RemoteAddr().String(), "cause", c.cause)
}

// survive keeps a panic, in the library or in Config.Revoked, from ending
// more than the connection it came from.
func (b *Broker) survive(c *conn) {
	cause := recover()
	if cause == nil {
		return
	}
	b.counters.panics.Add(1)
	b.cfg.Logger.Error("panic while serving a client", "identity", c.who.String(), "remote", c.RemoteAddr().String(),
		"panic", cause, "stack", string(debug.Stack()))
	c.end(fmt.Errorf("panic: %v", cause))
	b.hook.forget(c)
}

// complain logs what a client did wrong, unless it has given cause too often of
// late.
func (b *Broker) complain(c *conn, what string, err error) {
	log, limiter := b.cfg.Logger.With("identity", c.who.String()), c.complaints
	if c.who.ID == "" {
		log, limiter = b.cfg.Logger, b.strange
	}
	if limiter.Allow() {
		log.Warn(what, "remote", c.RemoteAddr().String(), "error", err)
	}
}
