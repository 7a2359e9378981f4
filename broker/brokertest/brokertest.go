// Package brokertest runs a real broker in memory, with real mutual TLS, for
// tests of whatever talks to one. It works inside a testing/synctest bubble.
package brokertest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// Name is the DNS name in the certificate of the broker.
const Name = "broker.test"

// Broker is a broker that can be killed and started again, like a process at a
// fixed address. Nothing outlives a kill, as in the real one.
type Broker struct {
	Authority *mtlstest.Authority // who issues the certificates

	tb        testing.TB
	cert      *tls.Certificate
	configure []func(*broker.Config)

	mu      sync.Mutex // guards the fields below
	running *broker.Broker
	line    *listener
	ended   chan error
}

// Start starts a broker that trusts authority and ends with the test. The
// functions may change its configuration.
func Start(tb testing.TB, authority *mtlstest.Authority, configure ...func(*broker.Config)) *Broker {
	tb.Helper()
	b := &Broker{Authority: authority, tb: tb, cert: authority.Broker(Name), configure: configure}
	b.Start()
	tb.Cleanup(b.Kill)
	return b
}

// Start starts the broker again after [Broker.Kill].
func (b *Broker) Start() {
	b.tb.Helper()
	line := newListener()
	cfg := broker.Config{
		Listener: line,
		TLS:      mtls.ServerConfig(b.Authority.Roots(), mtls.Fixed(b.cert), nil),
		Logger:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, f := range b.configure {
		f(&cfg)
	}
	running, err := broker.New(cfg)
	if err != nil {
		b.tb.Fatalf("broker: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- running.Run(context.Background()) }()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running, b.line, b.ended = running, line, ended
}

// Kill ends every connection and the broker. A second Kill does nothing.
func (b *Broker) Kill() {
	b.mu.Lock()
	running, ended := b.running, b.ended
	b.running, b.line = nil, nil
	b.mu.Unlock()
	if running == nil {
		return
	}
	running.Close()
	if err := <-ended; err != nil {
		b.tb.Errorf("broker: Run: %v", err)
	}
}

// Broker returns the broker that runs now.
func (b *Broker) Broker() *broker.Broker {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running
}

// DialTCP returns the client's end of a connection on which nothing has been
// said yet.
func (b *Broker) DialTCP(ctx context.Context) (net.Conn, error) {
	b.mu.Lock()
	line := b.line
	b.mu.Unlock()
	if line == nil {
		return nil, fmt.Errorf("dialing %s: nobody is listening", Name)
	}
	return line.dial(ctx)
}

// Dialer returns a link.Config.Dial for the holder of a certificate; nil shows
// none.
func (b *Broker) Dialer(cert mtls.CertificateFunc) func(context.Context) (net.Conn, error) {
	cfg := mtls.ClientConfig(b.Authority.Roots(), cert, Name)
	return func(ctx context.Context) (net.Conn, error) {
		tcp, err := b.DialTCP(ctx)
		if err != nil {
			return nil, err
		}
		conn := tls.Client(tcp, cfg)
		if err := conn.HandshakeContext(ctx); err != nil {
			tcp.Close()
			return nil, err
		}
		return conn, nil
	}
}

// listener accepts what dial makes.
type listener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newListener() *listener {
	return &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *listener) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, fmt.Errorf("dialing %s: connection refused", Name)
	case <-ctx.Done():
		return nil, fmt.Errorf("dialing %s: %w", Name, context.Cause(ctx))
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return address{} }
