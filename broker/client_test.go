package broker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/carillon-iot/carillon/broker/brokertest"
	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// client speaks MQTT packet by packet, so that it can also say what no decent
// client would.
type client struct {
	t    *testing.T
	conn net.Conn
}

// secure connects and completes TLS. It says nothing more.
func secure(t *testing.T, b *brokertest.Broker, cert *tls.Certificate) *client {
	t.Helper()
	conn, err := b.Dialer(mtls.Fixed(cert))(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t, conn}
	t.Cleanup(func() { conn.Close() })
	return c
}

// connect connects as the holder of cert, who must be let in.
func connect(t *testing.T, b *brokertest.Broker, cert *tls.Certificate) *client {
	t.Helper()
	c := secure(t, b, cert)
	if code := c.hello(identityOf(t, cert)); code != 0 {
		t.Fatalf("CONNACK code %d", code)
	}
	return c
}

func identityOf(t *testing.T, cert *tls.Certificate) string {
	t.Helper()
	who, err := mtls.IdentityOf(leafOf(t, cert))
	if err != nil {
		t.Fatal(err)
	}
	return who.ClientID()
}

func leafOf(t *testing.T, cert *tls.Certificate) *x509.Certificate {
	t.Helper()
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// ended is the code of a CONNECT that was answered with the end of the
// connection.
const ended = 0xff

// hello sends a CONNECT and returns the code of the answer.
func (c *client) hello(id string, change ...func(*packets.ConnectPacket)) byte {
	c.t.Helper()
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion = "MQTT", 4
	p.ClientIdentifier, p.CleanSession, p.Keepalive = id, true, 60
	for _, f := range change {
		f(p)
	}
	c.send(p)
	ack, ok := c.receive().(*packets.ConnackPacket)
	if !ok {
		return ended
	}
	return ack.ReturnCode
}

func (c *client) send(p packets.ControlPacket) {
	if err := p.Write(c.conn); err != nil {
		c.t.Logf("sending %T: %v", p, err)
	}
}

// receive returns the next packet, nil when the broker has ended the connection
// or has said nothing for an hour.
func (c *client) receive() packets.ControlPacket {
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Hour))
	p, err := packets.ReadPacket(c.conn)
	if err != nil {
		return nil
	}
	return p
}

// alive asks for a sign of life.
func (c *client) alive() bool {
	c.send(packets.NewControlPacket(packets.Pingreq))
	_, ok := c.receive().(*packets.PingrespPacket)
	return ok
}

// over waits for the broker to end the connection, reading whatever comes, and
// reports whether it does within d.
func (c *client) over(d time.Duration) bool {
	_ = c.conn.SetReadDeadline(time.Now().Add(d))
	_, err := io.Copy(io.Discard, c.conn)
	var timeout net.Error
	return !(errors.As(err, &timeout) && timeout.Timeout())
}

// subscribe returns the codes of the answer.
func (c *client) subscribe(filters ...string) []byte {
	c.t.Helper()
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	p.MessageID = 7
	for _, f := range filters {
		p.Topics = append(p.Topics, f)
		p.Qoss = append(p.Qoss, 2)
	}
	c.send(p)
	ack, ok := c.receive().(*packets.SubackPacket)
	if !ok {
		c.t.Fatalf("no SUBACK to %q", filters)
	}
	return ack.ReturnCodes
}

// publish sends a message with QoS 1 and reports whether it is acknowledged.
func (c *client) publish(topic, payload string, change ...func(*packets.PublishPacket)) bool {
	c.t.Helper()
	p := message(topic, payload)
	for _, f := range change {
		f(p)
	}
	c.send(p)
	ack, ok := c.receive().(*packets.PubackPacket)
	return ok && ack.MessageID == p.MessageID
}

func message(topic, payload string) *packets.PublishPacket {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Payload, p.Qos, p.MessageID = topic, []byte(payload), 1, 9
	return p
}

// delivered returns the payload of the next message, acknowledged, and an empty
// string if there is none within a second.
func (c *client) delivered() string {
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
	cp, err := packets.ReadPacket(c.conn)
	if err != nil {
		return ""
	}
	p, ok := cp.(*packets.PublishPacket)
	if !ok {
		c.t.Errorf("a %T, want a message", cp)
		return ""
	}
	ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
	ack.MessageID = p.MessageID
	c.send(ack)
	return string(p.Payload)
}

// linked runs a link as the holder of cert and waits until it is up.
func linked(t *testing.T, b *brokertest.Broker, cert *tls.Certificate, change ...func(*link.Config)) *link.Link {
	t.Helper()
	up := make(chan struct{}, 1)
	cfg := link.Config{
		Dial: b.Dialer(mtls.Fixed(cert)), ClientID: identityOf(t, cert), Logger: quiet(),
		OnUp: func() {
			select {
			case up <- struct{}{}:
			default:
			}
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	l, err := link.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Run(context.Background()) }()
	t.Cleanup(func() {
		l.Close()
		if err := <-ended; err != nil {
			t.Errorf("link: Run: %v", err)
		}
	})
	select {
	case <-up:
	case <-time.After(time.Hour):
		t.Fatalf("the link does not come up: %+v", l.Status())
	}
	return l
}

func subscribing(handler func(topic string, payload []byte), filters ...string) func(*link.Config) {
	return func(c *link.Config) { c.Subscribe, c.Handler = filters, handler }
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
