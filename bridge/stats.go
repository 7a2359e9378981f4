package bridge

import "sync/atomic"

// Stats are counts since the bridge was made.
type Stats struct {
	Received    uint64 // messages handed to Handle
	Dropped     uint64 // of those: undecodable, not authenticated, or no room
	Repeats     uint64 // sign-ins that were known already
	Pushes      uint64 // authentication requests sent to the provider
	Polls       uint64 // token requests sent to the provider
	Notified    uint64 // pings and pushes of the provider about sign-ins that waited for one
	Granted     uint64 // sign-ins that ended with a grant
	Refused     uint64 // requests that ended with a refusal
	Published   uint64 // messages that the broker took
	Republished uint64 // final answers that were published again
	Unsent      uint64 // messages that found no room or no broker
	Busy        uint64 // requests that were told to come back
	Open        int64  // sign-ins that ring or wait now, about
}

// counters are the live values of Stats.
type counters struct {
	received, dropped, repeats, pushes, polls, notified, granted, refused, published, republished, unsent, busy atomic.Uint64
}

// Stats returns the counts.
func (b *Bridge) Stats() Stats {
	c := &b.count
	return Stats{
		Received:    c.received.Load(),
		Dropped:     c.dropped.Load(),
		Repeats:     c.repeats.Load(),
		Pushes:      c.pushes.Load(),
		Polls:       c.polls.Load(),
		Notified:    c.notified.Load(),
		Granted:     c.granted.Load(),
		Refused:     c.refused.Load(),
		Published:   c.published.Load(),
		Republished: c.republished.Load(),
		Unsent:      c.unsent.Load(),
		Busy:        c.busy.Load(),
		Open:        b.open.Load(),
	}
}
