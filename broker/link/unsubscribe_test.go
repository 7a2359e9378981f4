package link_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/carillon-iot/carillon/broker/link"
)

// A link that has unsubscribed still publishes, and subscribes to nothing when
// it comes back.
func TestUnsubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard []string // owned by the goroutine of the connection
		b := &broker{serve: func(p *peer) {
			if !p.accept() {
				return
			}
			for {
				switch cp := p.next().(type) {
				case nil:
					return
				case *packets.SubscribePacket:
					heard = append(heard, "+"+cp.Topics[0])
					p.suback(cp, 1)
				case *packets.UnsubscribePacket:
					for _, topic := range cp.Topics {
						heard = append(heard, "-"+topic)
					}
					ack := packets.NewControlPacket(packets.Unsuback).(*packets.UnsubackPacket)
					ack.MessageID = cp.MessageID
					p.send(ack)
				case *packets.PublishPacket:
					heard = append(heard, "!"+cp.TopicName)
					p.puback(cp)
				}
			}
		}}
		j := make(journal, 10)
		l := run(t, link.Config{Dial: b.dial, Subscribe: []string{"$share/g/+/up", "b"}, Handler: ignore, OnUp: j.up, OnDown: j.down})
		j.expect(t, "up")
		if err := l.Unsubscribe(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.Publish(t.Context(), "a/down", nil); err != nil {
			t.Fatal(err)
		}
		b.kill()
		j.expect(t, "down")
		j.expect(t, "up")
		if err := l.Publish(t.Context(), "c/down", nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if want := []string{"+$share/g/+/up", "+b", "-$share/g/+/up", "-b", "!a/down", "!c/down"}; !slices.Equal(heard, want) {
			t.Errorf("the broker heard %q, want %q", heard, want)
		}
	})
}

// A broker that does not answer is not waited for, and neither is one that is
// not there.
func TestUnsubscribeInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{serve: good} // answers no UNSUBSCRIBE
		j := make(journal, 10)
		l := run(t, link.Config{Dial: b.dial, Subscribe: []string{"a"}, Handler: ignore, OnUp: j.up, OnDown: j.down})
		j.expect(t, "up")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Unsubscribe(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the end of the context", err)
		}
		b.answer(nil)
		b.kill()
		j.expect(t, "down")
		if err := l.Unsubscribe(t.Context()); err != nil {
			t.Errorf("without a connection: %v", err)
		}
	})
}

// An answer to what was not asked ends the connection, like any other.
func TestUnsubackUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{serve: func(p *peer) {
			if p.accept() {
				p.send(packets.NewControlPacket(packets.Unsuback))
				p.rest(nil)
			}
		}}
		j := make(journal, 10)
		run(t, link.Config{Dial: b.dial, OnUp: j.up, OnDown: j.down})
		j.expect(t, "up")
		j.expect(t, "down: the broker sent a bad packet (type 11")
	})
}
