package link

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// writeTimeout bounds how long a write may be stuck before the connection is
// given up; goodbye bounds the DISCONNECT at the end.
const (
	writeTimeout = 5 * time.Second
	goodbye      = time.Second
)

// session is one connection. The MQTT library's own reconnection is not used:
// it has no jitter, resends from its store, and resubscribes without looking at
// the answer. A fresh client for each connection has no such past.
type session struct {
	client mqtt.Client
	conn   *guard
	remote string

	window    chan struct{} // a place for each publish that waits for its acknowledgement
	abandoned atomic.Int32  // publishes whose acknowledgement is no longer waited for

	up    chan struct{} // closed when the link is up
	once  sync.Once
	done  chan struct{} // closed when the connection has failed
	cause error         // why; to be read after done
}

// fail records the first reason for the end of the connection.
func (s *session) fail(err error) {
	s.once.Do(func() {
		s.cause = err
		close(s.done)
	})
}

// connect dials, says hello and subscribes.
func (l *Link) connect(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.cfg.ConnectTimeout,
		fmt.Errorf("no connection within %v", l.cfg.ConnectTimeout))
	defer cancel()
	conn, err := l.cfg.Dial(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{
		remote: conn.RemoteAddr().String(),
		window: make(chan struct{}, maxInflight),
		up:     make(chan struct{}),
		done:   make(chan struct{}),
	}
	s.conn = newGuard(conn, l.cfg.MaxPacket, s.fail)
	s.client = mqtt.NewClient(l.options(s))
	// The library cannot be interrupted, its connection can.
	defer context.AfterFunc(ctx, func() {
		s.fail(context.Cause(ctx))
		s.conn.Close()
	})()
	if err := s.hello(ctx, l.filters()); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// options are those of one connection over the conn of s.
func (l *Link) options(s *session) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions()
	o.Servers = []*url.URL{{Scheme: "carillon", Host: "dialed"}} // the library wants one and hands it to the function below
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return s.conn, nil })
	o.SetClientID(l.cfg.ClientID)
	o.SetProtocolVersion(4) // 3.1.1, without trying 3.1 when refused
	o.SetCleanSession(true)
	o.SetStore(nothing{})
	o.SetAutoReconnect(false)
	o.SetConnectRetry(false)
	o.SetConnectTimeout(2 * l.cfg.ConnectTimeout) // never the first to give up: ours says why
	o.SetKeepAlive(l.cfg.KeepAlive)
	o.SetPingTimeout(10 * time.Second)
	o.SetWriteTimeout(writeTimeout)
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) {
		s.fail(fmt.Errorf("lost the connection: %w", err))
	})
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		l.inbox.put(message{m.Topic(), m.Payload(), s})
	})
	return o
}

// hello connects and subscribes, one SUBSCRIBE for each filter: one answer then
// speaks of one filter.
func (s *session) hello(ctx context.Context, filters []string) error {
	token := s.client.Connect()
	<-token.Done() // at once when the connection is closed; before, the library must not be told to disconnect
	if err := s.await(ctx, token); err != nil {
		return fmt.Errorf("connecting to the broker: %w", err)
	}
	for _, f := range filters {
		if err := s.subscribe(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// subscribe asks for QoS 1 and looks at the answer: the library's token reports
// a refusal as a success.
func (s *session) subscribe(ctx context.Context, filter string) error {
	token := s.client.Subscribe(filter, 1, nil)
	if err := s.await(ctx, token); err != nil {
		return fmt.Errorf("subscribing to %q: %w", filter, err)
	}
	// One filter, one code; under which name it is filed is the library's affair.
	for _, code := range token.(*mqtt.SubscribeToken).Result() {
		if code > 2 {
			return &SubscribeError{Filter: filter, Code: code}
		}
		return nil
	}
	return fmt.Errorf("subscribing to %q: the broker acknowledged without an answer", filter)
}

// await waits for the library to complete token. When the connection has
// failed, its cause is a better error than the token's.
func (s *session) await(ctx context.Context, token mqtt.Token) error {
	select {
	case <-token.Done():
	case <-s.done:
	case <-ctx.Done():
	}
	select {
	case <-s.done:
		return s.cause
	default:
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return token.Error()
}

// close says goodbye if there is still somebody to hear it, and releases
// everything.
func (s *session) close() {
	select {
	case <-s.done:
		s.conn.Close()
	default:
	}
	s.client.Disconnect(uint(goodbye.Milliseconds()))
	s.conn.Close()
	s.fail(ErrClosed)
}

// nothing is a store that keeps nothing, so that the library can neither resend
// after a reconnection nor grow with messages that are never acknowledged.
type nothing struct{}

func (nothing) Open()                             {}
func (nothing) Put(string, packets.ControlPacket) {}
func (nothing) Get(string) packets.ControlPacket  { return nil }
func (nothing) All() []string                     { return nil }
func (nothing) Del(string)                        {}
func (nothing) Close()                            {}
func (nothing) Reset()                            {}
