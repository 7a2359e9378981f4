package broker

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"golang.org/x/time/rate"

	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// script is a connection on which everything the client will ever say has
// arrived.
type script struct {
	net.Conn // nil: whatever is not below is not used
	in       *bytes.Reader
	out      bytes.Buffer
}

func (s *script) Read(p []byte) (int, error)       { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

func encoded(list ...packets.ControlPacket) []byte {
	var b bytes.Buffer
	for _, p := range list {
		_ = p.Write(&b)
	}
	return b.Bytes()
}

func seeds(f *testing.F) (connect []byte) {
	c := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	c.ProtocolName, c.ProtocolVersion = "MQTT", 4
	c.ClientIdentifier, c.CleanSession, c.Keepalive = "d1", true, 60
	sub := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	sub.MessageID, sub.Topics, sub.Qoss = 1, []string{"carillon/v1/d1/down", "#"}, []byte{1, 2}
	pub := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	pub.TopicName, pub.Qos, pub.MessageID, pub.Payload = "carillon/v1/d1/up", 1, 2, []byte("x")
	connect = encoded(c)
	f.Add(true, encoded(sub, pub, packets.NewControlPacket(packets.Pingreq), packets.NewControlPacket(packets.Disconnect)))
	f.Add(true, connect)
	f.Add(true, []byte{0x34, 5, 0, 1, 'a', 0, 1, 0x62, 2, 0, 1})
	f.Add(true, []byte{0xa2, 4, 0, 1, 0, 0})
	f.Add(true, []byte{0xf0, 0})
	f.Add(true, []byte{0x30, 0xff, 0xff, 0xff, 0x7f})
	f.Add(false, []byte{0x10, 20, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 60, 5, 17, 0, 0, 0, 1, 0, 2, 'd', '1'})
	f.Add(false, []byte{0x10, 0})
	return connect
}

// Whatever a device sends, before or after its CONNECT, nothing panics, what it
// is answered is MQTT, and nothing of it is left.
func FuzzClientBytes(f *testing.F) {
	authority := mtlstest.New(f)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	defer l.Close()
	b, err := New(Config{
		Listener: l, TLS: mtls.ServerConfig(authority.Roots(), mtls.Fixed(authority.Broker("x")), nil),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Fatal(err)
	}
	cert := authority.Device("d1")
	connect := seeds(f)
	f.Fuzz(func(t *testing.T, connected bool, data []byte) {
		if connected {
			data = append(bytes.Clone(connect), data...)
		}
		s := &script{in: bytes.NewReader(data)}
		c := newConn(s)
		c.who, c.leaf = mtls.Identity{Role: mtls.RoleDevice, ID: "d1"}, cert.Leaf
		c.rate = rate.NewLimiter(rate.Inf, 1)
		c.out = &outbox{to: s, limit: 1 << 30, timeout: time.Second, fail: c.end}
		_ = b.mqtt.EstablishConnection("fuzz", c) // a panic is what we look for
		c.Close()
		b.registry.leave(c, "d1")

		for r := bytes.NewReader(s.out.Bytes()); ; {
			if _, err := packets.ReadPacket(r); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("answered with bytes that are no MQTT: %v", err)
			}
		}
		if st := b.Stats(); st.Devices != 0 || st.Bridges != 0 || b.mqtt.Clients.Len() != 0 || len(b.registry.all) != 0 {
			t.Fatalf("left over: %+v, %d clients", st, b.mqtt.Clients.Len())
		}
		if subs := b.mqtt.Topics.Subscribers("carillon/v1/d1/down"); len(subs.Subscriptions) != 0 {
			t.Fatalf("left over: subscriptions %v", subs.Subscriptions)
		}
	})
}
