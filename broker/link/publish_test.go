package link_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/carillon-iot/carillon/broker/link"
)

func TestPublishReachesTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got *packets.PublishPacket
		b := &broker{serve: func(p *peer) {
			p.accept()
			p.rest(func(pub *packets.PublishPacket) { got = pub })
		}}
		j := make(journal, 10)
		l := run(t, link.Config{Dial: b.dial, OnUp: j.up})
		j.expect(t, "up")
		if err := l.Publish(t.Context(), "a/up", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if got.TopicName != "a/up" || string(got.Payload) != "hello" || got.Qos != 1 || got.Retain || got.Dup {
			t.Errorf("the broker saw %v", got)
		}
	})
}

func TestPublishWhileDownFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := run(t, link.Config{Dial: (&broker{}).dial})
		synctest.Wait()
		start := time.Now()
		if err := l.Publish(t.Context(), "a/up", nil); !errors.Is(err, link.ErrDown) {
			t.Errorf("Publish: %v", err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("Publish took %v", d)
		}
	})
}

func TestPublishRefusesWhatCannotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := make(journal, 10)
		l := run(t, link.Config{Dial: (&broker{serve: good}).dial, MaxPacket: 100, OnUp: j.up})
		j.expect(t, "up")
		for want, m := range map[string]struct {
			topic string
			size  int
		}{
			"wildcard":      {"a/+", 0},
			"topic has 0":   {"", 0},
			"101 bytes":     {"a", 96},
			"want at most":  {"a", 1000},
			"70000 bytes, ": {strings.Repeat("a", 70000), 0},
		} {
			if err := l.Publish(t.Context(), m.topic, make([]byte, m.size)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Publish: %v, want an error with %q", err, want)
			}
		}
		if err := l.Publish(t.Context(), "a", make([]byte, 95)); err != nil {
			t.Errorf("Publish at the limit: %v", err)
		}
	})
}

// A publish that was under way when the connection broke fails, and is not
// sent again behind the caller's back.
func TestLostPublishIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen atomic.Int32
		b := &broker{serve: func(p *peer) {
			p.accept()
			for {
				switch p.next().(type) {
				case nil:
					return
				case *packets.PublishPacket:
					seen.Add(1)
					return // without an acknowledgement
				}
			}
		}}
		j := make(journal, 10)
		l := run(t, link.Config{Dial: b.dial, OnUp: j.up, OnDown: j.down})
		j.expect(t, "up")
		if err := l.Publish(t.Context(), "a/up", []byte("once")); !errors.Is(err, link.ErrDown) {
			t.Errorf("Publish: %v, want %v", err, link.ErrDown)
		}
		j.expect(t, "down")
		for range 3 {
			j.expect(t, "up")
			time.Sleep(5 * time.Minute)
			b.kill()
			j.expect(t, "down")
		}
		if n := seen.Load(); n != 1 {
			t.Errorf("the broker saw the message %d times", n)
		}
	})
}

// A broker that answers a forbidden publish with silence costs its caller the
// context and nobody the connection.
func TestSilenceIsNoReasonToReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{serve: func(p *peer) {
			p.accept()
			for {
				switch pub := p.next().(type) {
				case nil:
					return
				case *packets.PingreqPacket:
					p.send(packets.NewControlPacket(packets.Pingresp))
				case *packets.PublishPacket:
					if pub.TopicName == "mine" {
						p.puback(pub)
					}
				}
			}
		}}
		j := make(journal, 10)
		l := run(t, link.Config{Dial: b.dial, OnUp: j.up, OnDown: j.down})
		j.expect(t, "up")

		var callers sync.WaitGroup
		for i := range 1000 { // more than may be under way
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start := time.Now()
				if err := l.Publish(ctx, fmt.Sprint("foreign/", i), nil); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Publish: %v", err)
				}
				if d := time.Since(start); d != 10*time.Second {
					t.Errorf("Publish returned after %v", d)
				}
			})
		}
		callers.Wait()
		// All places are taken by now; a patient caller gets one.
		start := time.Now()
		if err := l.Publish(t.Context(), "mine", nil); err != nil {
			t.Errorf("Publish: %v", err)
		}
		if d := time.Since(start); d > time.Minute {
			t.Errorf("waited %v for a place", d)
		}
		if n := len(b.dialed()); n != 1 {
			t.Errorf("%d connections, want the one", n)
		}
	})
}

// The other end neither reads nor closes.
func TestStuckWriteIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{serve: func(p *peer) {
			p.accept()
			p.deaf()
		}}
		defer b.kill()
		j := make(journal, 10)
		l := run(t, link.Config{Dial: b.dial, OnUp: j.up, OnDown: j.down})
		j.expect(t, "up")
		b.answer(good)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Publish(ctx, "a", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Publish: %v", err)
		}
		j.expect(t, "down: writing to the broker")
		j.expect(t, "up")
		if err := l.Publish(t.Context(), "a", nil); err != nil {
			t.Errorf("Publish on the next connection: %v", err)
		}
	})
}

func TestPublishInsideCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{serve: func(p *peer) {
			p.accept()
			p.suback(p.next().(*packets.SubscribePacket), 1)
			p.send(publish("a/down", []byte("question")))
			good := 0
			p.rest(func(*packets.PublishPacket) { good++ })
		}}
		var l *link.Link
		ready := make(chan struct{})
		results := make(chan error, 2)
		l = run(t, link.Config{
			Dial: b.dial, Subscribe: []string{"a/down"},
			OnUp: func() { <-ready; results <- l.Publish(t.Context(), "a/up", []byte("up")) },
			Handler: func(topic string, payload []byte) {
				<-ready
				results <- l.Publish(t.Context(), "a/up", append([]byte("answer to "), payload...))
			},
		})
		close(ready)
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestManyPublishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]int{}
		b := &broker{serve: func(p *peer) {
			p.accept()
			p.rest(func(pub *packets.PublishPacket) { seen[pub.TopicName]++ })
		}}
		j := make(journal, 10)
		l := run(t, link.Config{Dial: b.dial, OnUp: j.up})
		j.expect(t, "up")
		var wg sync.WaitGroup
		for i := range 500 {
			wg.Go(func() {
				for k := range 4 {
					if err := l.Publish(t.Context(), fmt.Sprintf("%d/%d", i, k), nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if len(seen) != 2000 {
			t.Errorf("%d different messages arrived, want 2000", len(seen))
		}
	})
}
