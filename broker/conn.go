package broker

import (
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"golang.org/x/time/rate"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// Why a connection ended, as far as the broker decided it.
var (
	errStopping  = errors.New("the broker is stopping")
	errEvicted   = errors.New("too slow to connect while others waited")
	errTakenOver = errors.New("another connection of the same identity took over")
	errRevoked   = errors.New("the certificate has been revoked")
	errExpired   = errors.New("the certificate has expired")
	errKicked    = errors.New("disconnected by the operator")
)

// conn is one connection, from accept to the end. The MQTT library holds it as
// its net.Conn, which is how the hook finds out whose packet it is looking at.
type conn struct {
	// Conn is the TCP connection until the handshake, then the TLS one. It and
	// the fields below are set by the goroutine that serves the connection,
	// before the registry shows it to anybody else.
	net.Conn
	who        mtls.Identity
	leaf       *x509.Certificate
	rate       *rate.Limiter
	complaints *rate.Limiter // lines in the log about this client
	out        *outbox
	session    *mqtt.Client // set when the CONNECT has been accepted

	tcp   net.Conn
	since time.Time // accepted

	once  sync.Once
	ended chan struct{} // closed by end
	cause error         // to be read after ended; nil if the other end left
	gone  chan struct{} // closed when nothing knows the connection any more
}

func newConn(tcp net.Conn) *conn {
	return &conn{
		Conn: tcp, tcp: tcp, since: time.Now(),
		complaints: rate.NewLimiter(rate.Every(10*time.Second), 3),
		ended:      make(chan struct{}),
		gone:       make(chan struct{}),
	}
}

// end closes the connection at once, whatever is being written to it.
func (c *conn) end(cause error) {
	c.once.Do(func() {
		c.cause = cause
		close(c.ended)
		c.tcp.Close()
	})
}

// Close is the library's way to end the connection. What it has written before,
// such as the code of a refusal, is still sent.
func (c *conn) Close() error {
	c.out.drain()
	c.end(nil)
	return nil
}

// Write hands p over to the outbox.
func (c *conn) Write(p []byte) (int, error) { return c.out.Write(p) }

// SetDeadline is how the library sets the time for the next packet. It must not
// move the deadline of a write under way.
func (c *conn) SetDeadline(t time.Time) error { return c.Conn.SetReadDeadline(t) }

// throttle waits until the client may have sent one more packet, and reports
// whether it had to.
func (c *conn) throttle() bool {
	wait := c.rate.Reserve().Delay()
	if wait <= 0 {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ended:
	}
	return true
}
