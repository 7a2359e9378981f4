package link_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/carillon-iot/carillon/broker/link"
)

func TestMessagesArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{serve: func(p *peer) {
			p.accept()
			p.suback(p.next().(*packets.SubscribePacket), 1)
			for i := range 100 {
				p.send(publish("a", fmt.Append(nil, i)))
			}
			p.rest(nil)
		}}
		got := make(chan string, 100)
		run(t, link.Config{Dial: b.dial, Subscribe: []string{"a"}, Handler: func(_ string, p []byte) { got <- string(p) }})
		for i := range 100 {
			if s := <-got; s != fmt.Sprint(i) {
				t.Fatalf("message %d is %q", i, s)
			}
		}
	})
}

// A handler that blocks for an hour loses messages and not the connection.
func TestSlowHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const queue, sent = 10, 100
		b := &broker{serve: func(p *peer) {
			p.accept()
			p.suback(p.next().(*packets.SubscribePacket), 1)
			for i := range sent {
				p.send(publish("a", fmt.Append(nil, i)))
			}
			p.rest(nil)
		}}
		handled := make(chan string, sent)
		l := run(t, link.Config{
			Dial: b.dial, Subscribe: []string{"a"}, Queue: queue,
			Handler: func(_ string, p []byte) {
				if string(p) == "0" {
					time.Sleep(time.Hour)
				}
				handled <- string(p)
			},
		})
		time.Sleep(2 * time.Hour)
		s := l.Status()
		if s.State != link.Up || s.Connections != 1 {
			t.Errorf("a slow handler cost the connection: %+v", s)
		}
		if s.Received != sent || s.Received-s.Dropped != uint64(len(handled)) {
			t.Errorf("received %d, dropped %d, handled %d", s.Received, s.Dropped, len(handled))
		}
		if n := len(handled); n < queue || n > queue+2 { // one in the handler's hands, one on its way
			t.Errorf("handled %d, want the queue of %d and what was under way", n, queue)
		}
	})
}

// The message that is being handled when the link is closed is handled to its
// end; Close waits for it.
func TestCloseWaitsForTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{serve: func(p *peer) {
			p.accept()
			p.suback(p.next().(*packets.SubscribePacket), 1)
			p.send(publish("a", nil))
			p.send(publish("a", nil))
			p.rest(nil)
		}}
		handled := 0
		l := run(t, link.Config{Dial: b.dial, Subscribe: []string{"a"}, Handler: func(string, []byte) {
			time.Sleep(time.Minute)
			handled++
		}})
		time.Sleep(time.Second)
		l.Close()
		if handled != 1 {
			t.Errorf("%d messages handled when Close returned, want the one that had begun", handled)
		}
	})
}
