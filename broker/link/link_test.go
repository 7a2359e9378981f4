package link_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/carillon-iot/carillon/broker/link"
)

// journal records the callbacks of a link.
type journal chan string

func (j journal) up()          { j <- "up" }
func (j journal) down(e error) { j <- "down: " + e.Error() }

// expect waits for the next entry, however long that takes on the fake clock.
func (j journal) expect(t *testing.T, prefix string) {
	t.Helper()
	select {
	case got := <-j:
		if !strings.HasPrefix(got, prefix) {
			t.Fatalf("callback %q, want %q", got, prefix)
		}
	case <-time.After(24 * time.Hour):
		t.Fatalf("no callback in a day, want %q", prefix)
	}
}

func ignore(string, []byte) {}

func TestNewRefuses(t *testing.T) {
	good := link.Config{
		Dial:     func(context.Context) (net.Conn, error) { return nil, errNoRoute },
		ClientID: "c1",
	}
	for name, spoil := range map[string]func(*link.Config){
		"no Dial":           func(c *link.Config) { c.Dial = nil },
		"client id":         func(c *link.Config) { c.ClientID = "" },
		"no Handler":        func(c *link.Config) { c.Subscribe = []string{"a"} },
		"topic filter":      func(c *link.Config) { c.Subscribe, c.Handler = []string{"a/#/b"}, ignore },
		"filter has 0":      func(c *link.Config) { c.Subscribe, c.Handler = []string{""}, ignore },
		"filter \"a+/b\"":   func(c *link.Config) { c.Subscribe, c.Handler = []string{"a+/b"}, ignore },
		"want whole second": func(c *link.Config) { c.KeepAlive = 5*time.Second + 1 },
		"keep alive is 1s":  func(c *link.Config) { c.KeepAlive = time.Second },
		"least backoff":     func(c *link.Config) { c.MinBackoff = time.Hour; c.MaxBackoff = time.Minute },
		"greatest backoff":  func(c *link.Config) { c.MaxBackoff = -1 },
		"connect timeout":   func(c *link.Config) { c.ConnectTimeout = -1 },
		"largest packet":    func(c *link.Config) { c.MaxPacket = 1 << 30 },
		"queue is -1":       func(c *link.Config) { c.Queue = -1 },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := link.New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New: %v, want an error with %q", err, name)
		}
	}
	if _, err := link.New(good); err != nil {
		t.Errorf("New of a good configuration: %v", err)
	}
}

func TestReconnectsAndResubscribes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var subscribed []string // of the present connection, owned by its goroutine
		b := &broker{serve: func(p *peer) {
			subscribed = nil
			if !p.accept() {
				return
			}
			if c := p.seen[0].(*packets.ConnectPacket); !c.CleanSession || c.ClientIdentifier != "c1" || c.WillFlag || c.ProtocolVersion != 4 {
				t.Errorf("CONNECT: %v", c)
			}
			for {
				sub, ok := p.next().(*packets.SubscribePacket)
				if !ok {
					return
				}
				subscribed = append(subscribed, sub.Topics...)
				p.suback(sub, 1)
			}
		}}
		j := make(journal, 10)
		l := run(t, link.Config{
			Dial: b.dial, Subscribe: []string{"a/down", "$share/g/+/up"}, Handler: ignore,
			OnUp: j.up, OnDown: j.down,
		})
		for i := range 3 {
			j.expect(t, "up")
			synctest.Wait()
			if got := fmt.Sprint(subscribed); got != "[a/down $share/g/+/up]" {
				t.Errorf("connection %d: subscribed %s", i, got)
			}
			if s := l.Status(); s.State != link.Up || s.Connections != uint64(i+1) || s.Failures != 0 || s.Err != nil {
				t.Errorf("connection %d: status %+v", i, s)
			}
			b.kill()
			j.expect(t, "down: the broker closed the connection")
			if s := l.Status(); s.State == link.Up || s.Err == nil {
				t.Errorf("after the loss: status %+v", s)
			}
		}
		j.expect(t, "up")
	})
}

// A refused subscription is worth nothing, whatever code says so: some brokers
// send 0x91, which MQTT 3.1.1 does not know.
func TestRefusedSubscription(t *testing.T) {
	for _, code := range []byte{0x80, 0x91, 3} {
		synctest.Test(t, func(t *testing.T) {
			b := &broker{serve: func(p *peer) {
				if !p.accept() {
					return
				}
				for {
					sub, ok := p.next().(*packets.SubscribePacket)
					if !ok {
						return
					}
					if sub.Topics[0] == "b" {
						p.suback(sub, code)
					} else {
						p.suback(sub, 0)
					}
				}
			}}
			j := make(journal, 10)
			l := run(t, link.Config{Dial: b.dial, Subscribe: []string{"a", "b"}, Handler: ignore, OnUp: j.up})
			time.Sleep(10 * time.Minute)
			s := l.Status()
			var refused *link.SubscribeError
			if !errors.As(s.Err, &refused) || refused.Filter != "b" || refused.Code != code {
				t.Errorf("status %+v, want the refusal of b with %#x", s, code)
			}
			if s.Connections != 0 || s.State == link.Up {
				t.Errorf("the link came up without its subscription: %+v", s)
			}
			if n := len(b.dialed()); n < 5 || n > 60 {
				t.Errorf("%d attempts in ten minutes, want some, with growing pauses", n)
			}
			b.answer(good) // the operator has corrected the rules
			j.expect(t, "up")
		})
	}
}

func TestRefusedConnection(t *testing.T) {
	for _, code := range []byte{1, 2, 3, 4, 5, 0x80, 0x8a, 254, 255} {
		synctest.Test(t, func(t *testing.T) {
			b := &broker{serve: func(p *peer) {
				p.next()
				p.raw(0x20, 2, 0, code)
				p.next()
			}}
			l := run(t, link.Config{Dial: b.dial, OnUp: func() { t.Errorf("up after code %d", code) }})
			time.Sleep(time.Minute)
			s := l.Status()
			var refused *link.ConnectError
			if !errors.As(s.Err, &refused) || refused.Code != code {
				t.Errorf("status %+v, want the refusal with code %d", s, code)
			}
			if s.Failures < 2 || s.Failures != len(b.dialed()) {
				t.Errorf("%d failures of %d attempts", s.Failures, len(b.dialed()))
			}
		})
	}
}

func TestSilentBroker(t *testing.T) {
	const timeout = 7 * time.Second
	for name, serve := range map[string]func(*peer){
		"no CONNACK": func(p *peer) { p.next(); p.next() },
		"no SUBACK":  func(p *peer) { p.accept(); p.next(); p.next() },
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &broker{serve: serve}
			j := make(journal, 10)
			l := run(t, link.Config{Dial: b.dial, Subscribe: []string{"a"}, Handler: ignore, ConnectTimeout: timeout, OnUp: j.up})
			time.Sleep(timeout + time.Millisecond)
			if s := l.Status(); s.Failures != 1 || s.Err == nil || !strings.Contains(s.Err.Error(), "within 7s") {
				t.Errorf("%s: status %+v", name, s)
			}
			b.answer(good)
			j.expect(t, "up")
		})
	}
}

// Half a connection: the network is gone, nobody says so.
func TestNoticesSilenceOnALiveConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{serve: func(p *peer) {
			p.accept()
			for p.next() != nil { // reads pings, answers nothing
			}
		}}
		j := make(journal, 10)
		run(t, link.Config{Dial: b.dial, KeepAlive: 30 * time.Second, OnUp: j.up, OnDown: j.down})
		j.expect(t, "up")
		since := time.Now()
		j.expect(t, "down: lost the connection: pingresp not received")
		if d := time.Since(since); d > 50*time.Second {
			t.Errorf("noticed after %v, want at most the keep alive and 20 s", d)
		}
		j.expect(t, "up")
	})
}

func TestTenMinutesIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pings := 0
		b := &broker{serve: func(p *peer) {
			p.accept()
			for p.next() != nil {
				if _, ok := p.seen[len(p.seen)-1].(*packets.PingreqPacket); ok {
					pings++
					p.send(packets.NewControlPacket(packets.Pingresp))
				}
			}
		}}
		l := run(t, link.Config{Dial: b.dial})
		time.Sleep(10*time.Minute + 30*time.Second)
		if s := l.Status(); s.State != link.Up || len(b.dialed()) != 1 {
			t.Errorf("after ten idle minutes: %+v, %d dials", s, len(b.dialed()))
		}
		synctest.Wait()
		if pings < 8 || pings > 11 {
			t.Errorf("%d pings in ten minutes with a keep alive of one", pings)
		}
	})
}

func TestCloseSaysGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last packets.ControlPacket
		gone := make(chan struct{})
		b := &broker{serve: func(p *peer) {
			defer close(gone)
			good(p)
			last = p.seen[len(p.seen)-1]
		}}
		j := make(journal, 10)
		l := run(t, link.Config{Dial: b.dial, OnUp: j.up, OnDown: j.down})
		j.expect(t, "up")
		start := time.Now()
		l.Close()
		j.expect(t, "down: "+link.ErrClosed.Error())
		<-gone
		if _, ok := last.(*packets.DisconnectPacket); !ok {
			t.Errorf("last packet %v, want a DISCONNECT", last)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("Close took %v", d)
		}
		if s := l.Status(); s.State != link.Closed {
			t.Errorf("status %+v", s)
		}
		l.Close()
		if err := l.Run(t.Context()); !errors.Is(err, link.ErrClosed) {
			t.Errorf("a second Run: %v", err)
		}
		if err := l.Publish(t.Context(), "a", nil); !errors.Is(err, link.ErrDown) {
			t.Errorf("Publish after Close: %v", err)
		}
	})
}

func TestCloseBeforeRun(t *testing.T) {
	l, err := link.New(link.Config{ClientID: "c1", Dial: (&broker{}).dial})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := l.Run(t.Context()); !errors.Is(err, link.ErrClosed) {
		t.Errorf("Run after Close: %v", err)
	}
}

// Run must end soon whatever it is waiting for.
func TestContextEndsRunAtAnyMoment(t *testing.T) {
	for name, serve := range map[string]func(*peer){
		"dial":    nil,
		"connack": func(p *peer) { p.next(); p.next() },
		"suback":  func(p *peer) { p.accept(); p.next(); p.next() },
		"up":      good,
		"deaf":    func(p *peer) { p.accept(); p.suback(p.next().(*packets.SubscribePacket), 0); p.deaf() },
	} {
		for _, after := range []time.Duration{0, time.Millisecond, time.Second, time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				b := &broker{serve: serve}
				dial := b.dial
				if serve == nil {
					dial = func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
				}
				l, err := link.New(link.Config{ClientID: "c1", Dial: dial, Subscribe: []string{"a"}, Handler: ignore, Logger: quiet()})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				start := time.Now()
				if err := l.Run(ctx); err != nil {
					t.Errorf("%s, %v: Run: %v", name, after, err)
				}
				if d := time.Since(start) - after; d > 2*time.Second {
					t.Errorf("%s, %v: Run ended %v late", name, after, d)
				}
				b.kill()
			})
		}
	}
}
