package broker_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/carillon-iot/carillon/broker/brokertest"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

func TestOthersClientIDIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, mtlstest.New(t))
		victims := map[string]*client{
			"victim":   connect(t, b, b.Authority.Device("victim")),
			"bridge:a": connect(t, b, b.Authority.Bridge("a")),
		}
		for _, cert := range []*tls.Certificate{b.Authority.Device("a"), b.Authority.Device("mallory"), b.Authority.Bridge("mallory")} {
			for id := range victims {
				c := secure(t, b, cert)
				if code := c.hello(id); code != 2 {
					t.Errorf("%s as %q: CONNACK code %d, want 2", identityOf(t, cert), id, code)
				}
				if !c.over(time.Second) {
					t.Errorf("%s as %q: the connection goes on", identityOf(t, cert), id)
				}
			}
		}
		for id, v := range victims {
			if !v.alive() {
				t.Errorf("%q has lost its connection", id)
			}
		}
		synctest.Wait()
		if s := b.Broker().Stats(); s.Refused != 6 || s.Takeovers != 0 || s.Sessions != 2 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestRefusedConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, mtlstest.New(t))
		cert := b.Authority.Device("d1")
		for name, c := range map[string]struct {
			change func(*packets.ConnectPacket)
			code   byte
		}{
			"will on its own topic":  {func(p *packets.ConnectPacket) { p.WillFlag, p.WillTopic = true, "carillon/v1/d1/up" }, 5},
			"will on a foreign one":  {func(p *packets.ConnectPacket) { p.WillFlag, p.WillTopic = true, "carillon/v1/d2/down" }, 5},
			"keep alive 0":           {func(p *packets.ConnectPacket) { p.Keepalive = 0 }, 5},
			"keep alive of 18 hours": {func(p *packets.ConnectPacket) { p.Keepalive = 65535 }, 5},
			"no client id":           {func(p *packets.ConnectPacket) { p.ClientIdentifier = "" }, 2},
			"MQTT 3.1":               {func(p *packets.ConnectPacket) { p.ProtocolName, p.ProtocolVersion = "MQIsdp", 3 }, 1},
		} {
			if code := secure(t, b, cert).hello("d1", c.change); code != c.code {
				t.Errorf("%s: CONNACK code %d, want %d", name, code, c.code)
			}
		}
		// A password does not make anybody somebody else.
		c := secure(t, b, cert)
		if code := c.hello("d1", func(p *packets.ConnectPacket) {
			p.UsernameFlag, p.Username, p.PasswordFlag, p.Password = true, "admin", true, []byte("admin")
		}); code != 0 {
			t.Errorf("with a password: CONNACK code %d", code)
		}
	})
}

// A wish for a persistent session is granted without the session.
func TestSessionsAreClean(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, mtlstest.New(t))
		cert := b.Authority.Device("d1")
		persistent := func(p *packets.ConnectPacket) { p.CleanSession = false }
		c := secure(t, b, cert)
		c.hello("d1", persistent)
		c.subscribe("carillon/v1/d1/down")
		c.conn.Close()
		synctest.Wait()
		bridge := connect(t, b, b.Authority.Bridge("b1"))
		bridge.publish("carillon/v1/d1/down", "while away")
		c = secure(t, b, cert)
		c.hello("d1", persistent)
		bridge.publish("carillon/v1/d1/down", "to a subscription of the past")
		if got := c.delivered(); got != "" {
			t.Errorf("a session was kept: %q", got)
		}
	})
}

func TestForbiddenSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, mtlstest.New(t))
		d := connect(t, b, b.Authority.Device("d1"))
		if codes := d.subscribe("#", "carillon/v1/d1/down", "$SYS/#", "carillon/v1/d2/down", "carillon/v1/+/down", "$share/x/carillon/v1/+/up", "$share/bridge/carillon/v1/d1/down"); !bytes.Equal(codes, []byte{0x80, 1, 0x80, 0x80, 0x80, 0x80, 0x80}) {
			t.Errorf("a device: SUBACK %x", codes)
		}
		bridge := connect(t, b, b.Authority.Bridge("b1"))
		if codes := bridge.subscribe("#", "carillon/v1/+/up", "carillon/v1/d1/up", "$share/bridge/carillon/v1/+/up", "$share/bridge/#"); !bytes.Equal(codes, []byte{0x80, 0x80, 0x80, 1, 0x80}) {
			t.Errorf("a bridge: SUBACK %x", codes)
		}
		var groups []string
		for i := range 20 {
			groups = append(groups, fmt.Sprintf("$share/g%d/carillon/v1/+/up", i))
		}
		refused := bytes.Count(bridge.subscribe(groups...), []byte{0x80})
		if refused < 12 || refused > 13 {
			t.Errorf("%d of 20 further groups refused", refused)
		}
		d.publish("carillon/v1/d1/up", "mine")
		if got := d.delivered(); got != "" {
			t.Errorf("the device received %q", got)
		}
		if s := b.Broker().Stats(); s.SubscriptionsDenied != uint64(6+4+refused) {
			t.Errorf("stats %+v", s)
		}
	})
}

// A forbidden message is acknowledged and goes nowhere, and the connection goes
// on: otherwise a client would come back and send it again, for ever.
func TestForbiddenMessagesAreSwallowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, mtlstest.New(t))
		mallory := connect(t, b, b.Authority.Device("mallory"))
		mallory.subscribe("carillon/v1/mallory/down")
		victim := connect(t, b, b.Authority.Device("victim"))
		victim.subscribe("carillon/v1/victim/down")
		bridge := connect(t, b, b.Authority.Bridge("b1"))
		bridge.subscribe("$share/bridge/carillon/v1/+/up")

		denied := 0
		for _, topic := range []string{
			"carillon/v1/victim/up", "carillon/v1/victim/down", "carillon/v1/mallory/down",
			"$SYS/broker/version", "$share/bridge/carillon/v1/victim/up", "carillon/v1/+/up", "carillon/v1/#", "#", "x", "-", "",
		} {
			denied++
			if !mallory.publish(topic, "evil") {
				t.Errorf("%q is not acknowledged", topic)
			}
		}
		denied++
		if !mallory.publish("carillon/v1/mallory/up", "evil", func(p *packets.PublishPacket) { p.Retain = true }) {
			t.Error("a retained message is not acknowledged")
		}
		denied++
		mallory.send(func() packets.ControlPacket {
			p := message("carillon/v1/mallory/up", "evil")
			p.Qos = 2
			return p
		}())
		if _, ok := mallory.receive().(*packets.PubrecPacket); !ok {
			t.Error("a message with QoS 2 is not acknowledged")
		}
		rel := packets.NewControlPacket(packets.Pubrel).(*packets.PubrelPacket)
		rel.MessageID = 9
		mallory.send(rel)
		if _, ok := mallory.receive().(*packets.PubcompPacket); !ok {
			t.Error("a message with QoS 2 is not completed")
		}
		if !mallory.alive() {
			t.Error("the connection was ended")
		}
		for name, c := range map[string]*client{"victim": victim, "bridge": bridge, "mallory": mallory} {
			if got := c.delivered(); got != "" {
				t.Errorf("%s received %q", name, got)
			}
		}
		late := connect(t, b, b.Authority.Bridge("late"))
		if late.subscribe("$share/bridge/carillon/v1/+/up"); late.delivered() != "" {
			t.Error("a message was retained")
		}
		if !bridge.publish("carillon/v1/victim/up", "evil") || !bridge.publish("x", "evil") {
			t.Error("a bridge's forbidden message is not acknowledged")
		}
		if s := b.Broker().Stats(); s.PublishesDenied != uint64(denied+2) {
			t.Errorf("%d denied, want %d", s.PublishesDenied, denied+2)
		}
		// And what is allowed still arrives.
		mallory.publish("carillon/v1/mallory/up", "good")
		if got := bridge.delivered() + late.delivered(); got != "good" {
			t.Errorf("received %q, want the one allowed message", got)
		}
	})
}

func TestStrangersFailTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, mtlstest.New(t))
		other := mtlstest.New(t)
		device := mtls.Identity{Role: mtls.RoleDevice, ID: "d1"}
		twice := mtls.Identity{Role: mtls.RoleDevice, ID: "d2"}
		for name, cert := range map[string]*tls.Certificate{
			"another authority": other.Device("d1"),
			"expired":           b.Authority.Expired(device),
			"a broker":          b.Authority.Broker(brokertest.Name),
			"a broker that is also a client": b.Authority.Issue(mtlstest.Leaf{
				Identity: mtls.Identity{Role: mtls.RoleBroker, ID: "x"}, ExtKeyUsage: clientAuth}),
			"a server that is also a client": b.Authority.Issue(mtlstest.Leaf{
				Identity: mtls.Identity{Role: mtls.RoleServer, ID: "x"}, ExtKeyUsage: clientAuth}),
			"another common name": b.Authority.Issue(mtlstest.Leaf{Identity: device, CommonName: "d2"}),
			"two identities":      b.Authority.Issue(mtlstest.Leaf{Identity: device, URIs: uris(device, twice)}),
			"no identity":         b.Authority.Issue(mtlstest.Leaf{Identity: device, URIs: uris()}),
		} {
			conn, err := b.Dialer(mtls.Fixed(cert))(t.Context())
			if err != nil {
				continue
			}
			c := &client{t, conn}
			if code := c.hello("d1"); code != ended {
				t.Errorf("%s: CONNACK code %d", name, code)
			}
			conn.Close()
		}
		// No certificate at all, and no TLS 1.3.
		for name, cfg := range map[string]*tls.Config{
			"no certificate": {RootCAs: b.Authority.Roots(), ServerName: brokertest.Name},
			"TLS 1.2": {RootCAs: b.Authority.Roots(), ServerName: brokertest.Name, MaxVersion: tls.VersionTLS12,
				Certificates: []tls.Certificate{*b.Authority.Device("d1")}},
		} {
			tcp, err := b.DialTCP(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			conn := tls.Client(tcp, cfg)
			c := &client{t, conn}
			if code := c.hello("d1"); code != ended {
				t.Errorf("%s: CONNACK code %d", name, code)
			}
			conn.Close()
		}
		synctest.Wait()
		if s := b.Broker().Stats(); s.HandshakesFailed != 10 || s.Sessions != 0 || s.Pending != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}
