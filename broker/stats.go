package broker

import (
	"sync/atomic"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// Stats is a snapshot for metrics: gauges first, then counters since New.
type Stats struct {
	Devices int // connected devices
	Bridges int // connected bridges
	Pending int // connections without a session yet

	Accepted         uint64 // TCP connections
	Evicted          uint64 // of these, slow ones that lost their place to newer ones
	HandshakesFailed uint64 // no certificate, a bad one, or no TLS at all
	Refused          uint64 // after the handshake: a CONNECT that was refused, or none
	Sessions         uint64 // accepted CONNECTs
	Takeovers        uint64 // sessions that replaced one of the same identity
	Revoked          uint64 // sessions ended because of a revocation
	Expired          uint64 // sessions ended because the certificate had expired
	Panics           uint64 // sessions ended by a defect of the broker

	MessagesIn          uint64 // PUBLISH packets received
	MessagesOut         uint64 // PUBLISH packets written
	BytesIn, BytesOut   uint64 // MQTT packets, without TLS
	PublishesDenied     uint64 // messages acknowledged and dropped because the sender may not
	SubscriptionsDenied uint64 // filters refused
	Throttled           uint64 // packets that had to wait for their sender's rate
	Overflowed          uint64 // messages dropped because the receiver's write queue was full
	Unacknowledged      uint64 // messages dropped because the receiver had acknowledged too few
}

type counters struct {
	accepted, handshakesFailed, refused  atomic.Uint64
	sessions, takeovers                  atomic.Uint64
	revoked, expired, panics             atomic.Uint64
	publishesDenied, subscriptionsDenied atomic.Uint64
	throttled                            atomic.Uint64
}

// Stats returns the present counts.
func (b *Broker) Stats() Stats {
	s := Stats{
		Accepted:            b.counters.accepted.Load(),
		HandshakesFailed:    b.counters.handshakesFailed.Load(),
		Refused:             b.counters.refused.Load(),
		Sessions:            b.counters.sessions.Load(),
		Takeovers:           b.counters.takeovers.Load(),
		Revoked:             b.counters.revoked.Load(),
		Expired:             b.counters.expired.Load(),
		Panics:              b.counters.panics.Load(),
		PublishesDenied:     b.counters.publishesDenied.Load(),
		SubscriptionsDenied: b.counters.subscriptionsDenied.Load(),
		Throttled:           b.counters.throttled.Load(),
	}
	info := b.mqtt.Info.Clone()
	s.MessagesIn, s.MessagesOut = uint64(info.MessagesReceived), uint64(info.MessagesSent)
	s.BytesIn, s.BytesOut = uint64(info.BytesReceived), uint64(info.BytesSent)
	s.Overflowed, s.Unacknowledged = uint64(info.MessagesDropped), uint64(info.InflightDropped)
	b.registry.count(&s)
	return s
}

// count fills in the gauges.
func (r *registry) count(s *Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Pending, s.Evicted = len(r.pending), r.evicted
	for _, c := range r.sessions {
		if c.who.Role == mtls.RoleBridge {
			s.Bridges++
		} else {
			s.Devices++
		}
	}
}
