package policy

import (
	"fmt"
	"time"
)

// A Rate is a token bucket: Burst at once, then one in each Every. The zero
// Rate has no limit.
//
// The state of a bucket is one instant, at which it will be full again; an
// instant that has passed is a full bucket, so nothing need be kept of it
// (this is the generic cell rate algorithm of ITU-T I.371, Annex A).
type Rate struct {
	Burst int
	Every time.Duration
}

// Unlimited reports whether r never refuses.
func (r Rate) Unlimited() bool { return r == Rate{} }

func (r Rate) validate() error {
	if r.Unlimited() {
		return nil
	}
	if r.Burst < 1 || r.Burst > 1_000_000 {
		return fmt.Errorf("burst is %d, want 1 to 1000000 (or 0 with every 0 for no limit)", r.Burst)
	}
	if r.Every < time.Microsecond || r.Every > 24*time.Hour {
		return fmt.Errorf("every is %v, want 1µs to 24h (or 0 with burst 0 for no limit)", r.Every)
	}
	return nil
}

// Within returns the rate that lets through no more than n in any minute: r where
// it does so already, else a smaller burst, else also a slower pace. Without a
// limit a fifth may come at once. n is 2 or more.
func (r Rate) Within(n int) Rate {
	if r.Unlimited() {
		r.Burst = max(n/5, 1)
		return Rate{Burst: r.Burst, Every: perMinute(n - r.Burst)}
	}
	following := int(time.Minute / r.Every)
	if r.Burst+following <= n {
		return r
	}
	if following < n {
		return Rate{Burst: n - following, Every: r.Every}
	}
	return Rate{Burst: 1, Every: perMinute(n - 1)}
}

// perMinute is the time between two of n in a minute, rounded up.
func perMinute(n int) time.Duration {
	return (time.Minute + time.Duration(n) - 1) / time.Duration(n)
}

// Take takes one from a bucket that is full again at the instant full, and
// returns the new instant. If there is none to take, it returns how long to
// wait for it, and the instant unchanged, unless that is further ahead than an
// empty bucket's: then the clock was set back, or the rate changed, and it
// returns that of an empty bucket.
func (r Rate) Take(full, now time.Time) (time.Time, time.Duration) {
	if r.Unlimited() {
		return full, 0
	}
	if empty := now.Add(time.Duration(r.Burst) * r.Every); full.After(empty) {
		full = empty
	}
	next := now
	if full.After(now) {
		next = full
	}
	next = next.Add(r.Every)
	if wait := next.Sub(now) - time.Duration(r.Burst)*r.Every; wait > 0 {
		return full, wait
	}
	return next, 0
}

// A CoolDown is a pause after a denial that doubles with each further one, and
// ends the count with an approval.
type CoolDown struct {
	// First is the pause after the first denial; 0 makes none.
	First time.Duration
	// Max bounds it.
	Max time.Duration
}

// Memory is how long after the end of a pause a denial still counts.
const Memory = 24 * time.Hour

func (c CoolDown) validate() error {
	if c.First < 0 || c.First > 24*time.Hour {
		return fmt.Errorf("first cool-down is %v, want 0 to 24h", c.First)
	}
	if c.Max < c.First || c.Max > 24*time.Hour {
		return fmt.Errorf("longest cool-down is %v, want the first (%v) to 24h", c.Max, c.First)
	}
	return nil
}

// After returns the pause after so many denials in a row.
func (c CoolDown) After(denials int) time.Duration {
	if denials < 1 {
		return 0
	}
	d := c.First
	for range denials - 1 {
		if d >= c.Max {
			break
		}
		d *= 2
	}
	return min(d, c.Max)
}
