// Package habit is what people do when their phone rings: how long they think,
// and what they say. Everything follows from a seed, so that a run can be
// repeated, and a person who is asked again after a restart thinks the same.
package habit

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/carillon-iot/carillon/device-sim/phone"
)

// A Habit is that of a population. The zero Habit approves at once.
type Habit struct {
	// After is how long people think.
	After Delay
	// Deny and Ignore are the parts of all requests that are denied, and left
	// alone until they lapse.
	Deny, Ignore float64
	Seed         uint64
}

// Validate reports what makes no sense.
func (h Habit) Validate() error {
	for _, p := range []struct {
		name string
		p    float64
	}{{"deny", h.Deny}, {"ignore", h.Ignore}} {
		if !(p.p >= 0 && p.p <= 1) { // a NaN is not
			return fmt.Errorf("%s is %v, want a part from 0 to 1", p.name, p.p)
		}
	}
	if h.Deny+h.Ignore > 1 {
		return fmt.Errorf("deny %v and ignore %v are more than everything", h.Deny, h.Ignore)
	}
	return nil
}

// Answer is what a person does with the nth request ever, and how long after its
// arrival.
func (h Habit) Answer(person string, nth int) (phone.Verdict, time.Duration) {
	name := fnv.New64a()
	fmt.Fprintf(name, "%s/%d", person, nth)
	r := rand.New(rand.NewPCG(h.Seed, name.Sum64()))
	u, delay := r.Float64(), h.After.draw(r)
	switch {
	case u < h.Deny:
		return phone.Denied, delay
	case u < h.Deny+h.Ignore:
		return phone.Ignored, delay
	}
	return phone.Approved, delay
}
