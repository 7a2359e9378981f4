package broker_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/broker/brokertest"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// limited starts a broker with small limits.
func limited(t *testing.T, l broker.Limits) *brokertest.Broker {
	t.Helper()
	return brokertest.Start(t, mtlstest.New(t), func(c *broker.Config) { c.Limits = l })
}

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

// Nobody may hold a place for longer than the connect timeout, whatever they
// hold it with.
func TestHalfOpenConnectionsAreEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 10 * time.Second
		b := limited(t, broker.Limits{ConnectTimeout: timeout})
		cert := b.Authority.Device("d1")
		tcp := func() net.Conn {
			c, err := b.DialTCP(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		drip, dripped := tcp(), make(chan struct{})
		go func() { // a byte a second of a record that never ends
			defer close(dripped)
			_, _ = drip.Write([]byte{22, 3, 1, 0x40, 0})
			for {
				if _, err := drip.Write([]byte{1}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		half := secure(t, b, cert)
		_, _ = half.conn.Write([]byte{0x10, 200, 1, 0, 4, 'M', 'Q'})
		endless := secure(t, b, cert)
		_, _ = endless.conn.Write([]byte{0x10, 0x80, 0x80})
		early := secure(t, b, cert)
		early.send(packets.NewControlPacket(packets.Pingreq))
		for name, c := range map[string]*client{
			"silence":         {t, tcp()},
			"drip":            {t, drip},
			"TLS and silence": secure(t, b, cert),
			"half a CONNECT":  half,
			"half a length":   endless,
			"no CONNECT":      early,
		} {
			if !c.over(timeout + time.Millisecond) {
				t.Errorf("%s: still open after %v", name, timeout)
			}
		}
		<-dripped
		synctest.Wait()
		if s := b.Broker().Stats(); s.Pending != 0 || s.HandshakesFailed != 2 || s.Refused != 4 {
			t.Errorf("stats %+v", s)
		}
	})
}

// All pending places are taken by connections that never go on; whoever comes
// with a certificate gets in within a third of the timeout.
func TestFloodDoesNotLockOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places, timeout = 20, 9 * time.Second
		b := limited(t, broker.Limits{MaxPending: places, ConnectTimeout: timeout})
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() { // keeps every place taken
			defer close(done)
			for {
				conn, err := b.DialTCP(t.Context())
				if err != nil {
					return
				}
				defer conn.Close()
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
		time.Sleep(time.Second)
		if s := b.Broker().Stats(); s.Pending != places {
			t.Errorf("%d pending, want %d", s.Pending, places)
		}
		start := time.Now()
		c := connect(t, b, b.Authority.Device("d1"))
		if d := time.Since(start); d > timeout/3+time.Second {
			t.Errorf("it took %v to get in", d)
		}
		if !c.alive() {
			t.Error("no answer")
		}
		time.Sleep(time.Minute)
		s := b.Broker().Stats()
		if s.Pending > places || s.Evicted == 0 || s.Devices != 1 {
			t.Errorf("stats %+v", s)
		}
		close(stop)
		<-done
	})
}

func TestTooManyClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := limited(t, broker.Limits{MaxClients: 2})
		first := connect(t, b, b.Authority.Device("d1"))
		connect(t, b, b.Authority.Device("d2"))
		if code := secure(t, b, b.Authority.Device("d3")).hello("d3"); code != 3 {
			t.Errorf("CONNACK code %d, want 3", code)
		}
		connect(t, b, b.Authority.Device("d2")) // taking over needs no place
		first.send(packets.NewControlPacket(packets.Disconnect))
		first.over(time.Second)
		synctest.Wait()
		connect(t, b, b.Authority.Device("d3"))
	})
}

func TestGiantPacketEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := limited(t, broker.Limits{MaxPacket: 2000})
		bridge := connect(t, b, b.Authority.Bridge("b1"))
		bridge.subscribe("$share/bridge/carillon/v1/+/up")
		cert := b.Authority.Device("d1")
		const overhead = 2 + len("carillon/v1/d1/up") + 2

		c := connect(t, b, cert)
		if !c.publish("carillon/v1/d1/up", string(make([]byte, 2000-overhead))) {
			t.Error("a packet at the limit is not acknowledged")
		}
		if got := bridge.delivered(); len(got) != 2000-overhead {
			t.Errorf("received %d bytes", len(got))
		}
		c.send(message("carillon/v1/d1/up", string(make([]byte, 2001-overhead))))
		if !c.over(time.Second) {
			t.Error("a packet over the limit was accepted")
		}
		c = connect(t, b, cert)
		_, _ = c.conn.Write([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}) // the announcement of 256 MiB is enough
		if !c.over(time.Second) {
			t.Error("256 MiB were accepted")
		}
		c = secure(t, b, cert)
		_, _ = c.conn.Write([]byte{0x10, 0xff, 0xff, 0xff, 0x7f})
		if !c.over(time.Second) {
			t.Error("a CONNECT of 256 MiB was accepted")
		}
		if got := bridge.delivered(); got != "" {
			t.Errorf("received %d bytes", len(got))
		}
	})
}

// A client that sends too fast is slowed down; nothing is lost, nobody else
// waits.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, burst, messages = 10, 50, 250
		b := limited(t, broker.Limits{DeviceRate: rate, DeviceBurst: burst})
		bridge := connect(t, b, b.Authority.Bridge("b1"))
		bridge.subscribe("$share/bridge/carillon/v1/+/up")
		fast, slow := connect(t, b, b.Authority.Device("fast")), connect(t, b, b.Authority.Device("slow"))
		start := time.Now()
		go func() {
			for range messages {
				fast.send(message("carillon/v1/fast/up", "x"))
			}
		}()
		if !slow.publish("carillon/v1/slow/up", "y") || time.Since(start) > time.Second {
			t.Errorf("another client waited %v", time.Since(start))
		}
		for n := 0; n < messages+1; {
			if got := bridge.delivered(); got == "" {
				t.Fatalf("only %d messages arrived", n)
			}
			n++
		}
		want := time.Duration(messages-burst) * time.Second / rate
		if d := time.Since(start); d < want*9/10 || d > want*11/10 {
			t.Errorf("%d messages took %v, want about %v", messages, d, want)
		}
		if s := b.Broker().Stats(); s.Throttled < messages-burst-10 {
			t.Errorf("stats %+v", s)
		}
	})
}

// A client that does not read loses its connection; the one that sends to it
// does not even wait.
func TestClientThatDoesNotRead(t *testing.T) {
	for name, c := range map[string]struct {
		messages int
		after    time.Duration
		talks    bool // while it does not read
	}{
		"too much piles up":        {messages: 100},
		"too long without reading": {messages: 5, after: 6 * time.Second},
		"talking all the while":    {messages: 5, after: 6 * time.Second, talks: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := limited(t, broker.Limits{WriteTimeout: 5 * time.Second})
			bridge := connect(t, b, b.Authority.Bridge("b1"))
			deaf := connect(t, b, b.Authority.Device("deaf"))
			deaf.subscribe("carillon/v1/deaf/down")
			start := time.Now()
			for range c.messages {
				if !bridge.publish("carillon/v1/deaf/down", string(make([]byte, 30_000))) {
					t.Fatalf("%s: the bridge is not served", name)
				}
			}
			if d := time.Since(start); d != 0 {
				t.Errorf("%s: the bridge waited %v", name, d)
			}
			for time.Since(start) < c.after {
				if c.talks {
					deaf.send(packets.NewControlPacket(packets.Pingreq))
				}
				time.Sleep(time.Second)
			}
			synctest.Wait()
			if s := b.Broker().Stats(); s.Devices != 0 || s.Bridges != 1 {
				t.Errorf("%s: stats %+v", name, s)
			}
			if !bridge.alive() {
				t.Errorf("%s: the bridge has lost its connection", name)
			}
		})
	}
}

// A client that takes its messages and never says so fills its own account
// only, and the operator can see that messages were dropped.
func TestClientThatNeverAcknowledges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, sent = 5, 20
		b := limited(t, broker.Limits{MaxInflight: limit})
		bridge := connect(t, b, b.Authority.Bridge("b1"))
		mute, good := connect(t, b, b.Authority.Device("mute")), connect(t, b, b.Authority.Device("good"))
		mute.subscribe("carillon/v1/mute/down")
		good.subscribe("carillon/v1/good/down")
		for i := range sent {
			if !bridge.publish("carillon/v1/mute/down", "x") || !bridge.publish("carillon/v1/good/down", fmt.Sprint(i)) {
				t.Fatal("the bridge is not served")
			}
			if got := good.delivered(); got != fmt.Sprint(i) {
				t.Fatalf("another client received %q, want %d", got, i)
			}
			synctest.Wait() // its acknowledgement has arrived, and makes room
		}
		if s := b.Broker().Stats(); s.Unacknowledged != sent-limit || s.Devices != 2 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestSilentClientIsDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, mtlstest.New(t))
		c := connect(t, b, b.Authority.Device("d1")) // keep alive of a minute
		start := time.Now()
		if !c.over(time.Hour) {
			t.Fatal("still connected after an hour")
		}
		if d := time.Since(start); d < 85*time.Second || d > 95*time.Second {
			t.Errorf("disconnected after %v, want one and a half minutes", d)
		}
	})
}
