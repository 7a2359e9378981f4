package metrics

import "github.com/prometheus/client_golang/prometheus"

// messages are the metrics of what comes from and goes to the broker.
type messages struct {
	received, republished prometheus.Counter
	dropped, published    family[prometheus.Counter]
}

// A Drop is why a message got no answer.
type Drop string

// The reasons for a drop.
const (
	Malformed  Drop = "malformed"    // no message of Carillon
	Unverified Drop = "unverified"   // its signature or its chain is not good
	UnknownKey Drop = "unknown_key"  // the device has to say hello first
	OutOfPlace Drop = "out_of_place" // a kind that nobody asked for
	TooFast    Drop = "too_fast"     // the device exceeds its rate of messages
	NoRoom     Drop = "no_room"      // the lane of the device is full
	NotRunning Drop = "not_running"  // the bridge begins or ends
)

// A Publication is what became of an attempt to publish a message.
type Publication string

// What can become of it.
const (
	Published Publication = "published"        // the broker has acknowledged it
	Unsent    Publication = "unsent"           // the broker has not
	Crowded   Publication = "no_room"          // the lane of the device is full
	Unsigned  Publication = "cannot_be_signed" // there is no signer
)

func (s *Set) newMessages() messages {
	return messages{
		received:    s.counter("messages_received_total", "Messages that arrived on the devices' topics."),
		republished: s.counter("answers_republished_total", "Final answers that were published again because no receipt had come."),
		dropped: s.counters("messages_dropped_total", "Messages that got no answer, by reason.", "reason",
			texts(Malformed, Unverified, UnknownKey, OutOfPlace, TooFast, NoRoom, NotRunning)),
		published: s.counters("publications_total", "Messages to devices, by what became of the attempt to publish them.", "result",
			texts(Published, Unsent, Crowded, Unsigned)),
	}
}

func texts[T ~string](values ...T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// Received counts a message that has arrived.
func (s *Set) Received() {
	if s != nil {
		s.messages.received.Inc()
	}
}

// Dropped counts a message that gets no answer.
func (s *Set) Dropped(why Drop) {
	if s != nil {
		s.messages.dropped.with(string(why)).Inc()
	}
}

// Published counts an attempt to publish a message.
func (s *Set) Published(what Publication) {
	if s != nil {
		s.messages.published.with(string(what)).Inc()
	}
}

// Republished counts a final answer that is published again.
func (s *Set) Republished() {
	if s != nil {
		s.messages.republished.Inc()
	}
}
