package agent

import (
	"math/rand/v2"
	"time"

	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/schemas"
)

// When a request is said again.
const (
	firstRepeat = 2 * time.Second
	lastRepeat  = time.Minute
	slowRepeat  = 15 * time.Minute // for what nobody waits for: a sign-out, an introduction

	// patience is how long a sign-in waits for its first answer, unless the
	// caller said how long to ring. It is what the bridge takes for fresh.
	patience = schemas.WindowPast
	// settling is how long after its expiry a sign-in waits before it asks
	// what became of it: the bridge says so by itself.
	settling = 3 * time.Second
	// closingTime is how long it asks, before it is given up.
	closingTime = 40 * time.Second

	maxRinging = 24 * time.Hour // whatever a bridge says
	maxOpen    = 32             // open requests
)

// A request is an open request: its entry as stored, and what is known of it in
// this life.
type request struct {
	entry  *outbox.Entry
	loaded bool // made before the last restart
	sent   bool // handed to the publisher, or loaded

	state    State     // of a sign-in: sending, ringing or cancelling
	binding  string    // binding_message
	deadline time.Time // of a sign-in: when it has expired
	giveUp   time.Time // of a sign-in: when it ends without an answer
	closing  bool      // expired: asking what became of it

	answered bool      // a bridge has said pending: nothing to repeat before it closes
	rung     bool      // a bridge has said pending in this life
	once     bool      // to be said once, for a new connection, and not repeated
	tries    int       // since the last news
	setbacks int       // answers that told to repeat differently
	stuck    bool      // to be repeated once the bridge is introduced
	due      time.Time // of the next repetition
	clocked  uint64    // iat of the last clock_skew that was believed

	wire    []byte // as signed last; nil to sign anew
	kid     schemas.KeyID
	iat     uint64
	sealing schemas.PublicKey
}

// open returns the runtime of an entry that was made, or loaded, now.
func open(e *outbox.Entry, now time.Time) *request {
	r := &request{entry: e, due: now}
	if e.SignIn != nil {
		r.state = StateSending
		r.expire(now.Add(e.Lifetime))
	}
	return r
}

// reload returns the runtime of a stored entry.
func (a *Agent) reload(e *outbox.Entry, now time.Time) *request {
	r := open(e, now)
	r.loaded, r.sent = true, true
	switch {
	case e.Withdrawn:
		r.state = StateCancelling
		r.giveUp = now.Add(patience)
	case e.Ringing:
		r.state = StateRinging
	}
	a.age(r, now)
	return r
}

// age shortens what is left of a loaded sign-in by the time since it was made,
// which only a clock can say that was right then and is now.
func (a *Agent) age(r *request, now time.Time) {
	if !r.loaded || r.entry.SignIn == nil || !r.entry.Sure || !a.clock.Sure() {
		return
	}
	left := r.entry.Created.Add(r.entry.Lifetime).Sub(a.clock.Now())
	if deadline := now.Add(max(left, 0)); deadline.Before(r.deadline) {
		r.deadline = deadline
		r.giveUp = deadline.Add(patience) // the connection may take a while yet
	}
}

// expire sets when a sign-in expires.
func (r *request) expire(t time.Time) {
	r.deadline, r.giveUp, r.closing = t, t.Add(settling+closingTime), false
}

// closes is when an expired sign-in is asked after.
func (r *request) closes() time.Time {
	if r.entry.Ringing {
		return r.deadline.Add(settling)
	}
	return r.deadline
}

// withdraws reports whether the next thing to say is cancel: because it was
// withdrawn, or because no bridge is known to have it and to ring now would be
// too late.
func (r *request) withdraws() bool {
	return r.entry.SignIn != nil && (r.entry.Withdrawn || r.closing && !r.entry.Ringing)
}

// next is when something is to be done about the request, zero for never.
// Ready means connected and introduced.
func (r *request) next(ready bool) (t time.Time) {
	if r.entry.SignIn != nil {
		t = r.giveUp
		if !r.sent {
			t = earlier(t, r.deadline)
		}
		if ready && !r.closing {
			t = earlier(t, r.closes())
		}
	}
	if ready && !r.answered {
		t = earlier(t, r.due)
	}
	return t
}

// news makes the request be said at once, and the backoff begin anew.
func (r *request) news(now time.Time) {
	r.answered, r.stuck, r.tries, r.due = false, false, 0, now
}

// reconnected makes the request be said at once: once only where the phone is
// known to ring.
func (r *request) reconnected(now time.Time) {
	r.once = r.rung && !r.closing && !r.entry.Withdrawn
	r.news(now)
}

// setback notes an answer that told to put something right and repeat. It is
// repeated at once the first time, and with backoff when that did not help.
func (r *request) setback(now time.Time) {
	r.answered, r.wire, r.due = false, nil, now
	if r.setbacks > 0 {
		r.due = now.Add(backoff(r.setbacks-1, lastRepeat))
	}
	r.setbacks++
}

// postpone makes up for an end that could not be stored.
func (r *request) postpone(now time.Time) {
	if !now.Before(r.giveUp) || !r.sent {
		r.giveUp, r.deadline = now.Add(lastRepeat), now.Add(lastRepeat)
	}
}

// tried notes that the request has been said.
func (r *request) tried(now time.Time) {
	slowest := lastRepeat
	if r.entry.SignOut != nil {
		slowest = slowRepeat
	}
	r.sent = true
	r.answered, r.once = r.once, false
	r.due = now.Add(backoff(r.tries, slowest))
	r.tries++
}

// backoff is the pause after a number of tries: firstRepeat, doubling, at most
// slowest, a fifth more or less at random.
func backoff(tries int, slowest time.Duration) time.Duration {
	d := slowest
	if tries < 16 {
		d = min(firstRepeat<<tries, slowest)
	}
	return d*4/5 + rand.N(d*2/5)
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
