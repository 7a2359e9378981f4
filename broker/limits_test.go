package broker_test

import (
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/broker/brokertest"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// limited starts a broker with small limits.
func limited(t *testing.T, l broker.Limits) *brokertest.Broker {
	t.Helper()
	return brokertest.Start(t, mtlstest.New(t), func(c *broker.Config) { c.Limits = l })
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
