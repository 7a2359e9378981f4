package link_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/carillon-iot/carillon/broker/link"
)

// broker is the other end of a link under test: each connection is answered by
// serve. It is for what a good broker does not do; the good one is tested in
// real_test.go.
type broker struct {
	serve func(*peer)

	mu    sync.Mutex
	dials []time.Time // when, guarded by mu
	peers []*peer     // guarded by mu
	wg    sync.WaitGroup
}

var errNoRoute = errors.New("no route to the broker")

// dial is a link.Config.Dial. Without a serve function nobody is there.
func (b *broker) dial(ctx context.Context) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dials = append(b.dials, time.Now())
	if b.serve == nil {
		return nil, errNoRoute
	}
	ours, theirs := net.Pipe()
	p := &peer{Conn: ours, gone: make(chan struct{})}
	b.peers = append(b.peers, p)
	b.wg.Go(func() {
		defer p.Close()
		b.serve(p)
	})
	return theirs, nil
}

func (b *broker) answer(serve func(*peer)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.serve = serve
}

func (b *broker) dialed() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]time.Time(nil), b.dials...)
}

// kill closes every connection.
func (b *broker) kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.peers {
		p.Close()
	}
	b.peers = nil
}

// peer is one connection at the broker's end.
type peer struct {
	net.Conn
	once sync.Once
	gone chan struct{}           // closed by Close
	seen []packets.ControlPacket // everything read, owned by the serving goroutine
}

func (p *peer) Close() error {
	p.once.Do(func() { close(p.gone) })
	return p.Conn.Close()
}

// deaf neither reads nor writes until the broker is killed.
func (p *peer) deaf() { <-p.gone }

// next reads a packet; nil at the end of the connection.
func (p *peer) next() packets.ControlPacket {
	cp, err := packets.ReadPacket(p)
	if err != nil {
		return nil
	}
	p.seen = append(p.seen, cp)
	return cp
}

func (p *peer) send(cp packets.ControlPacket) { _ = cp.Write(p) }

// accept answers the CONNECT.
func (p *peer) accept() bool {
	if _, ok := p.next().(*packets.ConnectPacket); !ok {
		return false
	}
	p.send(packets.NewControlPacket(packets.Connack))
	return true
}

// good behaves like a broker with nothing to deliver.
func good(p *peer) {
	if p.accept() {
		p.rest(nil)
	}
}

// rest answers what comes after the CONNECT until the end. Publishes go to
// published if it is not nil.
func (p *peer) rest(published func(*packets.PublishPacket)) {
	for {
		switch cp := p.next().(type) {
		case nil:
			return
		case *packets.SubscribePacket:
			p.suback(cp, 1)
		case *packets.PublishPacket:
			if published != nil {
				published(cp)
			}
			p.puback(cp)
		case *packets.PingreqPacket:
			p.send(packets.NewControlPacket(packets.Pingresp))
		}
	}
}

func (p *peer) suback(to *packets.SubscribePacket, codes ...byte) {
	ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
	ack.MessageID = to.MessageID
	ack.ReturnCodes = codes
	p.send(ack)
}

func (p *peer) puback(to *packets.PublishPacket) {
	ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
	ack.MessageID = to.MessageID
	p.send(ack)
}

func publish(topic string, payload []byte) *packets.PublishPacket {
	pub := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	pub.TopicName, pub.Payload = topic, payload
	return pub
}

// raw sends bytes as they are.
func (p *peer) raw(b ...byte) { _, _ = p.Write(b) }

// run runs a link until the test ends, and checks that it ends.
func run(t *testing.T, cfg link.Config) *link.Link {
	t.Helper()
	if cfg.ClientID == "" {
		cfg.ClientID = "c1"
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet()
	}
	l, err := link.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Run(t.Context()) }()
	t.Cleanup(func() {
		l.Close()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v, want nil", err)
		}
	})
	return l
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
