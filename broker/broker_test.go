package broker_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/broker/brokertest"
	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// The whole way, with the real client: up to a bridge, down to the device, ten
// idle minutes, and again.
func TestThereAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, mtlstest.New(t))
		var bridge *link.Link
		ready := make(chan struct{})
		bridge = linked(t, b, b.Authority.Bridge("b1"), subscribing(func(topic string, payload []byte) {
			<-ready
			up, err := schemas.ParseTopic(topic)
			if err != nil {
				t.Errorf("topic: %v", err)
			}
			if err := bridge.Publish(t.Context(), schemas.DownTopic(up.Device).String(), append([]byte("re: "), payload...)); err != nil {
				t.Errorf("answering: %v", err)
			}
		}, schemas.UpFilter))
		close(ready)
		answers := make(chan string)
		device := linked(t, b, b.Authority.Device("d1"), subscribing(func(_ string, payload []byte) {
			answers <- string(payload)
		}, "carillon/v1/d1/down"))

		for _, text := range []string{"one", "two"} {
			if err := device.Publish(t.Context(), "carillon/v1/d1/up", []byte(text)); err != nil {
				t.Fatal(err)
			}
			if got := <-answers; got != "re: "+text {
				t.Errorf("answer %q", got)
			}
			time.Sleep(10 * time.Minute)
		}
		if s := device.Status(); s.Connections != 1 || s.State != link.Up {
			t.Errorf("device: %+v", s)
		}
		s := b.Broker().Stats()
		if s.Devices != 1 || s.Bridges != 1 || s.Sessions != 2 || s.MessagesIn != 4 || s.MessagesOut != 4 || s.Pending != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestLinksComeBackAfterAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, mtlstest.New(t))
		got := make(chan string, 10)
		bridge := linked(t, b, b.Authority.Bridge("b1"), subscribing(func(_ string, p []byte) { got <- string(p) }, schemas.UpFilter))
		device := linked(t, b, b.Authority.Device("d1"))
		for i := range 3 {
			b.Kill()
			time.Sleep(time.Minute)
			if device.Status().State == link.Up {
				t.Error("the device believes that it is connected to nobody")
			}
			b.Start()
			time.Sleep(4 * time.Minute)
			text := fmt.Sprint("after kill ", i)
			if err := device.Publish(t.Context(), "carillon/v1/d1/up", []byte(text)); err != nil {
				t.Fatal(err)
			}
			if p := <-got; p != text {
				t.Errorf("the bridge received %q", p)
			}
		}
		if n := bridge.Status().Connections; n != 4 {
			t.Errorf("%d connections of the bridge, want 4", n)
		}
	})
}

// A renewed certificate is shown from the next connection on; the old one may
// be revoked as soon as the new one is there.
func TestLinkShowsTheRenewedCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var revoked atomic.Pointer[x509.Certificate]
		b := brokertest.Start(t, mtlstest.New(t), func(c *broker.Config) {
			c.Revoked = func(cert *x509.Certificate) bool { r := revoked.Load(); return r != nil && r.Equal(cert) }
		})
		var current atomic.Pointer[tls.Certificate]
		current.Store(b.Authority.Device("d1"))
		d := linked(t, b, current.Load(), func(c *link.Config) {
			c.Dial = b.Dialer(func() (*tls.Certificate, error) { return current.Load(), nil })
		})
		for i := range 3 {
			old := current.Load().Leaf
			current.Store(b.Authority.Device("d1"))
			revoked.Store(old)
			b.Broker().Sweep()
			time.Sleep(10 * time.Minute)
			if s := d.Status(); s.State != link.Up || s.Connections != uint64(i+2) {
				t.Fatalf("after renewal %d: %+v", i, s)
			}
			if err := d.Publish(t.Context(), "carillon/v1/d1/up", nil); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestSecondConnectionTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, mtlstest.New(t))
		bridge := connect(t, b, b.Authority.Bridge("b1"))
		first := connect(t, b, b.Authority.Device("d1"))
		first.subscribe("carillon/v1/d1/down")
		second := connect(t, b, b.Authority.Device("d1")) // another certificate, as after a renewal
		if !first.over(time.Second) {
			t.Error("the first connection goes on")
		}
		second.subscribe("carillon/v1/d1/down")
		bridge.publish("carillon/v1/d1/down", "hello")
		if got := second.delivered(); got != "hello" {
			t.Errorf("the second connection received %q", got)
		}
		if s := b.Broker().Stats(); s.Takeovers != 1 || s.Devices != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

// Whoever remains after many take-overs at once must have a session that works:
// the library's own take-over can lose the subscription or the whole session of
// the newer connection.
func TestTakeoversInAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, mtlstest.New(t))
		bridge := connect(t, b, b.Authority.Bridge("b1"))
		cert := b.Authority.Device("d1")
		for round := range 20 {
			var storm sync.WaitGroup
			for range 10 {
				storm.Go(func() {
					c := secure(t, b, cert)
					if c.hello("d1") == 0 {
						c.send(message("carillon/v1/d1/up", "x"))
					}
				})
			}
			storm.Wait()
			last := connect(t, b, cert)
			if codes := last.subscribe("carillon/v1/d1/down"); codes[0] != 1 {
				t.Fatalf("round %d: SUBACK %v", round, codes)
			}
			for i := range 3 {
				text := fmt.Sprintf("%d/%d", round, i)
				bridge.publish("carillon/v1/d1/down", text)
				if got := last.delivered(); got != text {
					t.Fatalf("round %d: received %q, want %q", round, got, text)
				}
			}
		}
		if s := b.Broker().Stats(); s.Devices != 1 || s.Panics != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestSharedDeliveryTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members, rounds = 3, 100
		b := brokertest.Start(t, mtlstest.New(t))
		var mu sync.Mutex
		got := map[int]int{}
		links := make([]*link.Link, members)
		for i := range members {
			links[i] = linked(t, b, b.Authority.Bridge(fmt.Sprint("b", i)), subscribing(func(string, []byte) {
				mu.Lock()
				got[i]++
				mu.Unlock()
			}, schemas.UpFilter))
		}
		device := connect(t, b, b.Authority.Device("d1"))
		send := func(n int) {
			for range n {
				if !device.publish("carillon/v1/d1/up", "x") {
					t.Fatal("not acknowledged")
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
		tally := func() string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			defer clear(got)
			return fmt.Sprint(got)
		}
		send(members * rounds)
		if s := tally(); s != fmt.Sprintf("map[0:%d 1:%d 2:%d]", rounds, rounds, rounds) {
			t.Errorf("received by member: %s, want %d each", s, rounds)
		}
		// A member that is about to leave gets nothing and is still connected.
		if err := links[2].Unsubscribe(t.Context()); err != nil {
			t.Fatal(err)
		}
		send(2 * rounds)
		if s := tally(); s != fmt.Sprintf("map[0:%d 1:%d]", rounds, rounds) || links[2].Status().State != link.Up {
			t.Errorf("received after one has unsubscribed: %s, want %d each", s, rounds)
		}
		// A member that has left gets nothing, and nothing is lost with it.
		links[1].Close()
		synctest.Wait()
		send(rounds)
		if s := tally(); s != fmt.Sprintf("map[0:%d]", rounds) {
			t.Errorf("received after one left: %s, want all %d", s, rounds)
		}
	})
}

func TestDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, mtlstest.New(t))
		c := connect(t, b, b.Authority.Device("d1"))
		who := mtls.Identity{Role: mtls.RoleDevice, ID: "d1"}
		if !b.Broker().Connected(who) || !b.Broker().Disconnect(who) {
			t.Error("no session found")
		}
		if !c.over(time.Second) {
			t.Error("still open")
		}
		synctest.Wait()
		if b.Broker().Connected(who) || b.Broker().Disconnect(who) {
			t.Error("a session found after its end")
		}
	})
}

func TestPublishAsOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.Start(t, mtlstest.New(t))
		d1, d2 := connect(t, b, b.Authority.Device("d1")), connect(t, b, b.Authority.Device("d2"))
		bridge := connect(t, b, b.Authority.Bridge("b1"))
		d1.subscribe("carillon/v1/d1/down")
		d2.subscribe("carillon/v1/d2/down")
		bridge.subscribe(schemas.UpFilter)
		for _, topic := range []string{"carillon/v1/d1/down", "carillon/v1/d2/up", "carillon/v1/nobody/down"} {
			if err := b.Broker().Publish(topic, []byte("to "+topic)); err != nil {
				t.Errorf("Publish: %v", err)
			}
		}
		if err := b.Broker().Publish("carillon/v1/+/down", nil); err == nil {
			t.Error("a wildcard was accepted")
		}
		for want, c := range map[string]*client{"to carillon/v1/d1/down": d1, "": d2, "to carillon/v1/d2/up": bridge} {
			if got := c.delivered(); got != want {
				t.Errorf("received %q, want %q", got, want)
			}
			if got := c.delivered(); got != "" {
				t.Errorf("received %q too", got)
			}
		}
	})
}

func TestNewRefuses(t *testing.T) {
	authority := mtlstest.New(t)
	good := func() broker.Config {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return broker.Config{Listener: l, TLS: mtls.ServerConfig(authority.Roots(), mtls.Fixed(authority.Broker("x")), nil), Logger: quiet()}
	}
	for want, spoil := range map[string]func(*broker.Config){
		"no listener":           func(c *broker.Config) { c.Listener = nil },
		"no TLS":                func(c *broker.Config) { c.TLS = nil },
		"client authentication": func(c *broker.Config) { c.TLS.ClientAuth = tls.VerifyClientCertIfGiven },
		"want TLS 1.3":          func(c *broker.Config) { c.TLS.MinVersion = tls.VersionTLS12 },
		"clients is -1":         func(c *broker.Config) { c.Limits.MaxClients = -1 },
		"connect timeout is 1h": func(c *broker.Config) { c.Limits.ConnectTimeout = time.Hour },
		"longest keep alive":    func(c *broker.Config) { c.Limits.MaxKeepAlive = 13 * time.Hour },
		"device rate is -3":     func(c *broker.Config) { c.Limits.DeviceRate = -3 },
		"in flight is 70000":    func(c *broker.Config) { c.Limits.MaxInflight = 70000 },
	} {
		cfg := good()
		spoil(&cfg)
		if _, err := broker.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want an error with %q", err, want)
		}
	}
	b, err := broker.New(good())
	if err != nil {
		t.Fatalf("New of a good configuration: %v", err)
	}
	b.Close()
	if err := b.Run(t.Context()); err == nil {
		t.Error("Run after Close returned nil")
	}
}
