// Package wiretap listens to the MQTT connection of one device, inside its TLS:
// it counts the bytes of every packet, both ways, tells what each packet is, and
// can lose one on its way down, as a radio does.
//
//	tap := wiretap.New(func(p wiretap.Packet) { fmt.Println(p.Way, p.Bytes) })
//	cfg := link.Config{Dial: tap.Dial(link.TLSDialer(addr, tlsConfig)), ...}
//
// It passes on the bytes it is given and never changes one: a packet goes down
// whole, or not at all.
package wiretap

import (
	"context"
	"net"
	"sync"

	"github.com/carillon-iot/carillon/schemas"
)

// A Packet is one MQTT control packet (MQTT 3.1.1 section 2) that has passed.
type Packet struct {
	// Way is Up from the device, Down to it.
	Way schemas.Way
	// Type is the control packet type, 1 (CONNECT) to 14 (DISCONNECT).
	Type Type
	// Bytes is the length of the whole packet.
	Bytes int
	// Topic and Payload are those of a PUBLISH; the receiver may keep Payload.
	Topic   string
	Payload []byte
	// Kind is what the payload claims to be, unverified; 0 if it is no message
	// of Carillon.
	Kind schemas.Kind
	// Lost means that the packet was not passed on.
	Lost bool
}

// Count is how many bytes have passed, lost ones included.
type Count struct{ Up, Down int64 }

// Sub returns what has passed since an earlier count.
func (c Count) Sub(earlier Count) Count { return Count{c.Up - earlier.Up, c.Down - earlier.Down} }

// Add returns c with one more packet.
func (c Count) Add(p Packet) Count {
	if p.Way == schemas.Up {
		return Count{c.Up + int64(p.Bytes), c.Down}
	}
	return Count{c.Up, c.Down + int64(p.Bytes)}
}

// A Tap listens to the connections of one device, one after the other. It may
// be used concurrently.
type Tap struct {
	observe func(Packet)

	mu    sync.Mutex // guards the fields below; never held while observe runs
	count Count
	lose  []func(Packet) bool // each loses one packet, then is gone
	conns map[*conn]struct{}
}

// New returns a tap that tells observe of each packet, in the goroutine that
// reads or writes it, before the device sees it. Nil tells nobody.
func New(observe func(Packet)) *Tap {
	if observe == nil {
		observe = func(Packet) {}
	}
	return &Tap{observe: observe, conns: map[*conn]struct{}{}}
}

// Dial wraps a dial function, so that what it returns is listened to.
func (t *Tap) Dial(dial func(context.Context) (net.Conn, error)) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		return t.Conn(c), nil
	}
}

// Conn wraps the device's end of a connection.
func (t *Tap) Conn(c net.Conn) net.Conn {
	tapped := &conn{Conn: c, tap: t}
	t.mu.Lock()
	t.conns[tapped] = struct{}{}
	t.mu.Unlock()
	return tapped
}

// Count returns the bytes of all complete packets so far.
func (t *Tap) Count() Count {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// LoseNext loses the next packet on its way down that is a message of this
// kind. Each call loses one.
func (t *Tap) LoseNext(k schemas.Kind) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lose = append(t.lose, func(p Packet) bool { return p.Kind == k })
}

// Cut ends the connections that are open now, as when a car enters a tunnel.
func (t *Tap) Cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.conns {
		c.cut.Store(true)
		_ = c.Conn.Close() // the device learns by reading
	}
}

// pass counts a packet and reports whether it goes on.
func (t *Tap) pass(p Packet) bool {
	t.mu.Lock()
	t.count = t.count.Add(p)
	for i, lose := range t.lose {
		if p.Way == schemas.Down && lose(p) {
			t.lose = append(t.lose[:i:i], t.lose[i+1:]...)
			p.Lost = true
			break
		}
	}
	t.mu.Unlock()
	t.observe(p)
	return !p.Lost
}

func (t *Tap) closed(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}
