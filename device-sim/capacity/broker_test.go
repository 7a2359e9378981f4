package capacity

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// A broker is reached by the bridge over mutual TLS, and by the devices within this
// process.
type broker struct {
	server  *mqtt.Server
	address string
	devices sync.Map // from schemas.DeviceID to *device
}

// open is a hook that lets everybody in, who has a certificate.
type open struct{ mqtt.HookBase }

// Provides says which questions it answers.
func (*open) Provides(what byte) bool {
	return what == mqtt.OnConnectAuthenticate || what == mqtt.OnACLCheck
}

// OnConnectAuthenticate says yes.
func (*open) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnACLCheck says yes.
func (*open) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

func newBroker(tb testing.TB, ca *mtlstest.Authority) *broker {
	tb.Helper()
	limits := mqtt.NewDefaultServerCapabilities()
	limits.MaximumInflight, limits.ReceiveMaximum, limits.MaximumClientWritesPending = 65535, 65535, 1<<20
	b := &broker{server: mqtt.New(&mqtt.Options{InlineClient: true, Capabilities: limits, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})}
	tcp := must(net.Listen("tcp", "127.0.0.1:0"))
	b.address = tcp.Addr().String()
	secure := tls.NewListener(tcp, mtls.ServerConfig(ca.Roots(), mtls.Fixed(ca.Broker("127.0.0.1")), nil))
	for _, err := range []error{
		b.server.AddHook(new(open), nil),
		b.server.AddListener(listeners.NewNet("tls", secure)),
		b.server.Serve(),
		b.server.Subscribe("carillon/v1/+/down", 1, b.deliver),
	} {
		if err != nil {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(func() { b.server.Close() })
	return b
}

func (b *broker) deliver(_ *mqtt.Client, _ packets.Subscription, p packets.Packet) {
	topic, err := schemas.ParseTopic(p.TopicName)
	if err != nil {
		return
	}
	d, ok := b.devices.Load(topic.Device)
	if !ok {
		return
	}
	if e, err := schemas.Parse(topic, p.Payload); err == nil {
		d.(*device).heard <- e.Unverified()
	}
}
