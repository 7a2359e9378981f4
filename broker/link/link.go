// Package link keeps one MQTT 3.1.1 connection to a broker alive: it is the
// client side that agent and bridge share.
//
// A [Link] dials, subscribes, watches, and dials again with backoff and jitter,
// for as long as [Link.Run] runs. It promises little on purpose. Every session
// is clean, nothing is stored, and nothing is sent twice: a publish that was not
// acknowledged fails, and whether to repeat it is for the caller to say. No
// broker's acknowledgement proves delivery, so Carillon repeats a request until
// the other end has signed an answer; a second queue beneath that one would only
// send what nobody waits for any more.
//
// # What ends what
//
// A bad [Config] is an error of [New]. After that nothing but its context or
// [Link.Close] ends Run: a broker that cannot be reached, a certificate that it
// refuses, a refused subscription or a lost connection ends one connection, is
// logged, shown by [Link.Status], and tried again. So an operator can repair
// either end without restarting the other.
//
// # Certificates
//
// Each attempt calls [Config.Dial] for a new, authenticated connection, so that
// a renewed certificate is used from the next connection on. [TLSDialer] is such
// a function. The broker's MQTT packets are checked before the library below
// sees them, because a broker is trusted with the delivery of messages and not
// with the memory of the device.
package link

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Config says where a link goes and who listens to it. Dial and ClientID are
// required, and Handler if there is anything to subscribe.
type Config struct {
	// Dial returns an established connection to the broker on which TLS, if
	// any, is done. It is called at every attempt, never twice at a time, and
	// must return when its context ends.
	Dial func(ctx context.Context) (net.Conn, error)
	// ClientID is the MQTT client identifier; see [ClientID] for the one that
	// Carillon's broker wants.
	ClientID string
	// Subscribe are the topic filters to subscribe with QoS 1 on every
	// connection. The link is up when the broker has granted all of them.
	Subscribe []string
	// Handler is called with each message, one at a time, in the order of
	// arrival. It may block: messages then queue, see Queue. The payload is
	// its to keep.
	Handler func(topic string, payload []byte)
	// OnUp is called when the link has come up, OnDown when it is no longer
	// up, with the reason. Calls alternate and never overlap. They run in Run's
	// goroutine: Publish works inside OnUp, and a slow callback delays the
	// next attempt and nothing else. Nil means nobody wants to know.
	OnUp   func()
	OnDown func(error)

	// KeepAlive is the idle time after which the broker is asked for a sign
	// of life, in whole seconds from 5 s to 18 h. Zero means one minute.
	KeepAlive time.Duration
	// MinBackoff and MaxBackoff bound the wait between attempts: a random time
	// up to MinBackoff after the first failure, up to twice as much after each
	// further one, and never more than MaxBackoff. A connection that was up for
	// MaxBackoff starts over. Zero means one second and two minutes.
	MinBackoff, MaxBackoff time.Duration
	// ConnectTimeout bounds one attempt, from the dial to the last granted
	// subscription. Zero means 30 s.
	ConnectTimeout time.Duration
	// MaxPacket is the largest MQTT packet sent or accepted, in bytes without
	// the fixed header. A larger one from the broker ends the connection. Zero
	// means 64 KiB.
	MaxPacket int
	// Queue is the number of messages that may wait for Handler. One more is
	// dropped, counted in [Status] and logged, for the read loop must not wait
	// or the connection dies of a slow handler; the sender repeats what
	// matters. Zero means 1024.
	Queue int
	// Logger hears about connections, never about contents. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// A Link is a connection to a broker that comes back. All methods may be called
// concurrently.
type Link struct {
	cfg     Config
	inbox   *inbox
	calls   sync.WaitGroup // goroutines inside the MQTT library on behalf of a caller; Run waits for them
	wake    chan struct{}  // holds at most one request to stop waiting
	started atomic.Bool
	life    context.Context // done after Close
	quit    context.CancelFunc
	ended   chan struct{} // closed when Run has returned

	mu      sync.Mutex // guards the fields below, for moments only
	status  Status
	session *session // nil unless up
	retired bool     // subscribes to nothing any more
}

// New checks cfg and returns a link that does nothing until Run.
func New(cfg Config) (*Link, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	l := &Link{
		cfg:    cfg,
		inbox:  newInbox(cfg.Queue, cfg.Handler, cfg.Logger),
		wake:   make(chan struct{}, 1),
		ended:  make(chan struct{}),
		status: Status{State: Down, Since: time.Now()},
	}
	l.life, l.quit = context.WithCancel(context.Background())
	return l, nil
}

// Run keeps the link up until ctx ends or Close is called, says goodbye to the
// broker, waits for the handler call under way, and returns nil. Messages still
// queued then are dropped. Run can be called once.
func (l *Link) Run(ctx context.Context) error {
	if l.life.Err() != nil || !l.started.CompareAndSwap(false, true) {
		return ErrClosed
	}
	defer close(l.ended)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.life, cancel)()

	var worker sync.WaitGroup
	worker.Go(func() { l.inbox.work(ctx) })
	defer worker.Wait()
	defer l.calls.Wait()

	backoff := backoff{min: l.cfg.MinBackoff, max: l.cfg.MaxBackoff}
	for ctx.Err() == nil {
		up, err := l.connection(ctx)
		if ctx.Err() != nil {
			break
		}
		l.wait(ctx, backoff.next(up), err)
	}
	l.set(Closed, nil)
	return nil
}

// Close ends Run and waits for it. It must not be called from a callback.
func (l *Link) Close() error {
	l.quit()
	if l.started.Load() {
		<-l.ended
	}
	return nil
}

// Wake ends the present wait between two attempts: somebody is at the screen,
// or the network is back. It does nothing while a connection is up or being
// made, and it does not reset the backoff.
func (l *Link) Wake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// connection makes one connection and stays until it ends. It returns how long
// the link was up and why it is no longer.
func (l *Link) connection(ctx context.Context) (up time.Duration, err error) {
	l.set(Connecting, nil)
	s, err := l.connect(ctx)
	if err != nil {
		l.failed(err)
		return 0, err
	}
	since := time.Now()
	l.nowUp(s)
	if l.cfg.OnUp != nil {
		l.cfg.OnUp()
	}
	err = ErrClosed
	select {
	case <-ctx.Done():
	case <-s.done:
		err = s.cause
	}
	l.noLongerUp(err)
	s.close()
	if l.cfg.OnDown != nil {
		l.cfg.OnDown(err)
	}
	return time.Since(since), err
}

// wait sleeps before the next attempt.
func (l *Link) wait(ctx context.Context, d time.Duration, cause error) {
	l.cfg.Logger.Warn("no connection to the broker", "client", l.cfg.ClientID,
		"error", cause, "failures", l.Status().Failures, "retry_in", d.Round(time.Millisecond))
	select {
	case <-l.wake: // asked for while there was no wait
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-l.wake:
	case <-timer.C:
	}
}
