// Package clock is the best guess at the time on a machine whose own clock may
// be wrong by years.
//
// The machine's clock is never set. Besides it, three things are known: a
// moment that has passed for certain (the floor: the day the own certificate
// was issued, the time of any message that a bridge signed), what a bridge said
// the time is, and how long ago that was by the monotonic clock.
//
// [Clock.Now] chooses, of the machine's clock and of that clock corrected by
// the known offset, the earlier that is not before what has passed. So a clock
// that starts in 1970 at every boot, one that runs a year ahead, and one that
// the satellites put right in between are told apart without asking anybody.
package clock

import (
	"sync"
	"time"
)

// slack is how far a clock may lag behind what has passed before it is called
// wrong: the travel time of a message, and the drift of clocks.
const slack = time.Minute

// steady is the offset below which a clock is taken to be off by as much as
// before the restart. A greater one may come from a clock that begins anew at
// each start, or that has been put right since.
const steady = 24 * time.Hour

// State is what outlives a restart.
type State struct {
	// Offset is what to add to the machine's clock, in seconds, as a bridge
	// last said; 0 if none has.
	Offset int64 `json:"offset,omitempty"`
	// Floor is a moment, in seconds since 1970, that has passed.
	Floor int64 `json:"floor,omitempty"`
}

// A Clock tells the time. It may be used concurrently.
type Clock struct {
	wall func() time.Time

	mu      sync.Mutex // guards the fields below
	offset  time.Duration
	floor   mark      // never goes back
	told    mark      // zero until a bridge has said the time
	ceiling time.Time // the end of the own certificate; zero if there is none
}

// mark is a moment that was noted at a reading of the monotonic clock.
type mark struct {
	at, since time.Time
}

func markOf(t time.Time) mark { return mark{t.Round(0), time.Now()} }

func (m mark) now() time.Time { return m.at.Add(time.Since(m.since)) }

// New returns a clock that corrects wall, the machine's; nil means time.Now.
func New(wall func() time.Time, s State) *Clock {
	if wall == nil {
		wall = time.Now
	}
	return &Clock{
		wall:   func() time.Time { return wall().Round(0) }, // without its monotonic reading
		offset: time.Duration(s.Offset) * time.Second,
		floor:  markOf(time.Unix(s.Floor, 0)),
	}
}

// Now is the best guess, for saying when a message was issued. What a bridge
// said last counts for more than the floor: it may go back.
func (c *Clock) Now() time.Time {
	now, _ := c.guess()
	return now
}

// Sure reports whether Now rests on more than the floor.
func (c *Clock) Sure() bool {
	_, sure := c.guess()
	return sure
}

// Verify is the time by which others' certificates are judged: Now, but never
// before the floor. A time after the end of the own certificate is not
// believed, because then nothing could be done anyhow: it is the floor instead.
func (c *Clock) Verify() time.Time {
	now, _ := c.guess()
	c.mu.Lock()
	defer c.mu.Unlock()
	floor := c.floor.now()
	if now.Before(floor) || (!c.ceiling.IsZero() && now.After(c.ceiling)) {
		return floor
	}
	return now
}

// Certificate takes note of the life of the own certificate: its beginning has
// passed, and beyond its end lies no time that Verify believes.
func (c *Clock) Certificate(notBefore, notAfter time.Time) {
	c.Passed(notBefore)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ceiling = notAfter
}

func (c *Clock) guess() (now time.Time, sure bool) {
	wall := c.wall()
	c.mu.Lock()
	defer c.mu.Unlock()
	passed := c.passed()
	corrected := wall.Add(c.offset)
	plain, known := !wall.Before(passed.Add(-slack)), !corrected.Before(passed.Add(-slack))
	switch {
	case known && c.told.at.IsZero() && c.offset.Abs() < steady:
		return corrected, true
	case plain && (!known || wall.Before(corrected)):
		return wall, true
	case known:
		return corrected, true
	}
	return passed, !c.told.at.IsZero()
}

// passed is a time that is certainly not in the future. Called with mu held.
func (c *Clock) passed() time.Time {
	if c.told.at.IsZero() {
		return c.floor.now()
	}
	return c.told.now()
}

// Told takes over the time from a bridge whose message is known to be fresh.
func (c *Clock) Told(t time.Time) {
	wall := c.wall()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = t.Sub(wall).Round(time.Second)
	c.told = markOf(t)
	if t.After(c.floor.now()) {
		c.floor = c.told
	}
}

// Passed takes note that it is not before t, as any signed message proves,
// however old it is. It reports whether that was worth storing: news of more
// than an hour.
func (c *Clock) Passed(t time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.told.at.IsZero() && t.After(c.told.now()) {
		c.told = markOf(t)
	}
	gain := t.Sub(c.floor.now())
	if gain > 0 {
		c.floor = markOf(t)
	}
	return gain > time.Hour
}

// Offset is what Now adds to the machine's clock, to the second.
func (c *Clock) Offset() time.Duration {
	now, _ := c.guess()
	return now.Sub(c.wall()).Round(time.Second)
}

// State returns what to store.
func (c *Clock) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return State{Offset: int64(c.offset / time.Second), Floor: c.floor.now().Unix()}
}
