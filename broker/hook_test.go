package broker

import (
	"net"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// A member whose connection has just ended is still in its group until the
// library has cleared up; its turn must go to another.
func TestTurnsSkipTheDeparted(t *testing.T) {
	r := newRegistry(Limits{MaxClients: 9, MaxPending: 9})
	group := map[string]packets.Subscription{}
	for _, id := range []string{"bridge:a", "bridge:b", "bridge:c"} {
		ours, _ := net.Pipe()
		c := newConn(ours)
		if _, err := r.claim(c, id); err != nil {
			t.Fatal(err)
		}
		if id != "bridge:b" {
			c.end(nil)
		}
		group[id] = packets.Subscription{Filter: "f"}
	}
	group["bridge:unknown"] = packets.Subscription{Filter: "f"}
	h := &hook{b: &Broker{registry: r}}
	for range 10 {
		subs := &mqtt.Subscribers{
			Shared:         map[string]map[string]packets.Subscription{"f": group},
			SharedSelected: map[string]packets.Subscription{},
		}
		got := h.OnSelectSubscribers(subs, packets.Packet{}).SharedSelected
		if _, ok := got["bridge:b"]; !ok || len(got) != 1 {
			t.Fatalf("selected %v, want bridge:b", got)
		}
	}
}
