package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What follows is not counted but looked at, whenever somebody asks. A Set
// watches one of each kind: registering a second one panics, as it is a mistake
// of the program.

// watchGauge exports what f returns.
func (s *Set) watchGauge(name, help string, labels prometheus.Labels, f func() float64) {
	s.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + name, Help: help, ConstLabels: labels}, f))
}

// watchCounter exports what f returns.
func (s *Set) watchCounter(name, help string, f func() float64) {
	s.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: prefix + name, Help: help}, f))
}

// WatchQueue exports the length and the capacity of a queue: "intake", "outbox",
// "broker".
func (s *Set) WatchQueue(name string, capacity int, length func() int) {
	if s == nil {
		return
	}
	label := prometheus.Labels{"queue": name}
	s.watchGauge("queue_length", "Messages that wait, by queue.", label, func() float64 { return float64(length()) })
	s.watchGauge("queue_capacity", "Messages that may wait, by queue.", label, func() float64 { return float64(capacity) })
}

// WatchCalls exports how many calls of the provider are on their way, and how
// many may be, which can change.
func (s *Set) WatchCalls(c Call, limit, n func() int) {
	if s == nil {
		return
	}
	label := prometheus.Labels{"call": string(c)}
	s.watchGauge("provider_calls_in_flight", "Requests to the provider on their way, by endpoint.", label, func() float64 { return float64(n()) })
	s.watchGauge("provider_calls_limit", "Requests to the provider that may be on their way, by endpoint.", label, func() float64 { return float64(limit()) })
}

// WatchLimit exports how many sign-ins may be open.
func (s *Set) WatchLimit(open int) {
	if s != nil {
		s.watchGauge("requests_open_limit", "Sign-ins that may ring or wait.", nil, func() float64 { return float64(open) })
	}
}

// A Link is the state of the connection to the broker.
type Link struct {
	Up                bool
	Connections       uint64 // times it has come up
	Received, Dropped uint64 // messages taken from the broker, and those that found the queue full
}

// WatchLink exports the state of the connection to the broker.
func (s *Set) WatchLink(look func() Link) {
	if s == nil {
		return
	}
	s.watchGauge("broker_up", "1 while connected to the broker and subscribed, else 0.", nil, func() float64 {
		if look().Up {
			return 1
		}
		return 0
	})
	s.watchCounter("broker_connections_total", "Times that the connection to the broker has come up.", func() float64 { return float64(look().Connections) })
	s.watchCounter("broker_messages_received_total", "Messages taken from the broker.", func() float64 { return float64(look().Received) })
	s.watchCounter("broker_messages_dropped_total", "Messages from the broker that found the queue full.", func() float64 { return float64(look().Dropped) })
}

// WatchCertificate exports when a certificate ends; a zero time means that there
// is none to be had.
func (s *Set) WatchCertificate(name string, notAfter func() time.Time) {
	if s == nil {
		return
	}
	s.watchGauge("certificate_expiry_timestamp_seconds", "When a certificate ends, seconds since 1970; 0 for none.", prometheus.Labels{"certificate": name}, func() float64 {
		if t := notAfter(); !t.IsZero() {
			return float64(t.Unix())
		}
		return 0
	})
}

// WatchRevocations exports when the list of revoked devices was last confirmed;
// a zero time means never.
func (s *Set) WatchRevocations(confirmed func() time.Time) {
	if s == nil {
		return
	}
	s.watchGauge("revocations_timestamp_seconds", "When the list of revoked devices last came, seconds since 1970; 0 for never.", nil, func() float64 {
		if t := confirmed(); !t.IsZero() {
			return float64(t.Unix())
		}
		return 0
	})
}
