package broker

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// This is the only file that knows how the MQTT library is held, and what it
// must be kept from doing.

// newServer returns the library with everything off that Carillon does not use.
// It is not told to serve: connections are accepted and handed to it one by one,
// and its housekeeping is for sessions, retained messages and $SYS topics, of
// which there are none. (Once a second that would copy the list of all clients
// twice and stop the world for statistics.)
func newServer(l Limits) *mqtt.Server {
	c := mqtt.NewDefaultServerCapabilities()
	c.MaximumClients = math.MaxInt64 // the registry counts, exactly
	c.MaximumPacketSize = uint32(l.MaxPacket) + 1
	c.MaximumInflight = uint16(l.MaxInflight)
	c.MaximumClientWritesPending = int32(l.WriteQueue)
	c.ReceiveMaximum = 64 // QoS 2 publishes under way; those of QoS 1 never are
	c.RetainAvailable = 0
	c.TopicAliasMaximum = 0
	return mqtt.New(&mqtt.Options{
		Capabilities: c,
		// The library logs whole packets; what matters is logged here.
		Logger: slog.New(slog.DiscardHandler),
	})
}

// hook is called by the library, from the goroutine of the client concerned
// unless a comment says otherwise.
type hook struct {
	mqtt.HookBase
	b    *Broker
	turn atomic.Uint64 // of the next shared delivery
}

func (h *hook) ID() string { return "carillon" }

var provided = []byte{
	mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnPacketRead, mqtt.OnPacketEncode, mqtt.OnSubscribe,
	mqtt.OnACLCheck, mqtt.OnPublish, mqtt.OnSelectSubscribers, mqtt.OnPublishDropped,
}

func (h *hook) Provides(b byte) bool { return bytes.IndexByte(provided, b) >= 0 }

// OnConnect judges the CONNECT. It answers a refusal itself: an error alone
// would close the connection without a code.
func (h *hook) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	c := connOf(cl)
	err := mayConnect(c.who, hello{
		version:   pk.ProtocolVersion,
		clientID:  pk.Connect.ClientIdentifier,
		keepAlive: time.Duration(pk.Connect.Keepalive) * time.Second,
		will:      pk.Connect.WillFlag,
	}, h.b.limits.MaxKeepAlive)
	if err == nil {
		err = h.b.establish(c)
	}
	if err != nil {
		_ = h.b.mqtt.SendConnack(cl, connackCode(err), false, nil)
		return &refusal{err}
	}
	cl.Properties.Clean = true // whatever it asked for: the answer says "no session present"
	c.session = cl
	return nil
}

// refusal is an error that has been answered with a CONNACK.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// connackCode returns the library's code for the MQTT 3.1.1 return code.
func connackCode(err error) packets.Code {
	switch {
	case errors.Is(err, errVersion):
		return packets.ErrUnsupportedProtocolVersion
	case errors.Is(err, errClientID):
		return packets.ErrClientIdentifierNotValid
	case errors.Is(err, errFull), errors.Is(err, errBusy), errors.Is(err, errStopping):
		return packets.ErrServerUnavailable
	}
	return packets.ErrBadUsernameOrPassword // becomes 5, not authorized
}

// OnConnectAuthenticate accepts whom OnConnect has accepted: user name and
// password mean nothing here.
func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) bool {
	return connOf(cl).session == cl
}

// OnPacketRead slows the client down to its rate, by not reading on. A publish
// to what is no topic gets a name that nobody may publish to, so that it ends
// as every other forbidden one: the library would end the connection or leave
// it unacknowledged, and the client come back and send it again.
func (h *hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if connOf(cl).throttle() {
		h.b.counters.throttled.Add(1)
	}
	if pk.FixedHeader.Type == packets.Publish && (pk.TopicName == "" || !mqtt.IsValidFilter(pk.TopicName, true)) {
		pk.TopicName = "-"
	}
	return pk, nil
}

// OnPacketEncode keeps a malformed CONNECT from being answered with a code that
// MQTT 3.1.1 does not have.
func (h *hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type == packets.Connack && cl.Properties.ProtocolVersion < 5 && pk.ReasonCode > packets.Err3NotAuthorized.Code {
		pk.ReasonCode = packets.Err3NotAuthorized.Code
	}
	return pk
}

// OnSubscribe judges the filters and cuts QoS 2 down to 1. A filter without
// characters is one that the library refuses with 0x80.
func (h *hook) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	c := connOf(cl)
	held := cl.State.Subscriptions.Len()
	pk.Filters = slices.Clone(pk.Filters)
	for i := range pk.Filters {
		f := &pk.Filters[i]
		err := maySubscribe(c.who, f.Filter)
		if held++; err == nil && held > maxSubscriptions {
			err = fmt.Errorf("filter %q: it has %d already", f.Filter, maxSubscriptions)
		}
		if err != nil {
			h.b.counters.subscriptionsDenied.Add(1)
			h.b.complain(c, "refused a subscription", err)
			f.Filter = ""
		}
		f.Qos = min(f.Qos, 1)
	}
	return pk
}

// OnACLCheck is asked about filters, which OnSubscribe has judged, about
// publishes, which OnPublish will, and about each delivery: there in the
// goroutine of the publisher, with the client that is to receive.
//
// It must not refuse a publish: for a refusal the library disconnects an MQTT
// 3.1.1 client, which comes back and publishes the same again, for ever.
func (h *hook) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	if write || strings.HasPrefix(topic, sharePrefix) {
		return true
	}
	c := connOf(cl)
	if err := h.b.valid(c); err != nil {
		c.end(err)
		return false
	}
	return mayReceive(c.who, topic)
}

// OnPublish judges a message before it is acknowledged. A forbidden one is
// acknowledged and goes nowhere.
func (h *hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline { // the operator's
		return pk, nil
	}
	c := connOf(cl)
	if err := h.b.valid(c); err != nil {
		c.end(err)
		return pk, packets.ErrRejectPacket
	}
	if err := mayPublish(c.who, pk.TopicName, pk.FixedHeader.Qos, pk.FixedHeader.Retain); err != nil {
		h.b.counters.publishesDenied.Add(1)
		h.b.complain(c, "dropped a forbidden message", err)
		return pk, packets.CodeSuccessIgnore
	}
	return pk, nil
}

// OnSelectSubscribers deals messages in turn to the members of each group that
// are connected. The library would pick by map order, from the disconnected
// too.
func (h *hook) OnSelectSubscribers(subs *mqtt.Subscribers, _ packets.Packet) *mqtt.Subscribers {
	turn := h.turn.Add(1)
	for _, group := range subs.Shared {
		members := make([]string, 0, len(group))
		for id := range group {
			if _, ok := h.b.registry.get(id); ok {
				members = append(members, id)
			}
		}
		if len(members) == 0 {
			continue
		}
		slices.Sort(members)
		id := members[turn%uint64(len(members))]
		subs.SharedSelected[id] = group[id]
	}
	return subs
}

// OnPublishDropped hears of a message for which the client's write queue had no
// room, in the goroutine of the publisher.
func (h *hook) OnPublishDropped(cl *mqtt.Client, _ packets.Packet) {
	h.b.complain(connOf(cl), "dropped a message", errors.New("the client does not take its messages"))
}

// forget removes what a panic in the library has left of a session.
func (h *hook) forget(c *conn) {
	if c.session == nil {
		return
	}
	c.session.Stop(errors.New("panic"))
	h.b.mqtt.UnsubscribeClient(c.session)
	c.session.ClearInflights()
	h.b.mqtt.Clients.Delete(c.who.ClientID())
}

// inject delivers a message that no client has sent.
func (h *hook) inject(topic string, payload []byte) error {
	operator := h.b.mqtt.NewClient(nil, mqtt.LocalListener, "operator:", true) // no identity has this client id
	return h.b.mqtt.InjectPacket(operator, packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1},
		TopicName:   topic,
		Payload:     payload,
		PacketID:    1, // every publish with QoS 1 has one; nobody sees it
	})
}

// connOf returns the connection of a client. Only the operator's has none.
func connOf(cl *mqtt.Client) *conn { return cl.Net.Conn.(*conn) }
