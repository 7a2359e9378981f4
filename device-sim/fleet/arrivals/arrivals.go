// Package arrivals says when people sit down in their cars: a schedule that is
// fixed before the first of them does, and that waits for nobody.
//
// A load that asks for the next sign-in when the last one is over slows down
// together with what it measures, and so never sees the worst of it ("coordinated
// omission"). Here every arrival has its time, and what is late because the
// machine was is measured from that time.
package arrivals

import (
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"time"
)

// A Plan is a number of arrivals at a rate.
type Plan struct {
	Count int
	Rate  float64 // a second, in the long run
	// Even makes all pauses the same. Otherwise arrivals know nothing of each
	// other (a Poisson process), as people do: some come together.
	Even bool
	Seed uint64
}

// Most is how many arrivals a plan can have: each is remembered to the end.
const Most = 5_000_000

// Fit returns the count and the rate of a plan of which some of count, rate and
// duration are given; those that are not are 0. Of all three, whichever ends
// first counts.
func Fit(count int, rate float64, duration time.Duration) (Plan, error) {
	var p Plan
	switch {
	case count < 0 || count > Most:
		return p, fmt.Errorf("%d sign-ins, want 1 to %d", count, Most)
	case !(rate >= 0 && rate <= 1e6): // a NaN is not
		return p, fmt.Errorf("a rate of %v a second, want more than 0 and at most 1000000", rate)
	case duration < 0:
		return p, fmt.Errorf("a duration of %v, want more than 0", duration)
	case rate == 0 && (count == 0 || duration == 0):
		return p, fmt.Errorf("two of the number of sign-ins, the rate and the duration are needed")
	case count == 0 && duration == 0:
		return p, fmt.Errorf("with a rate, the number of sign-ins or the duration is needed")
	case rate == 0:
		rate = float64(count) / duration.Seconds()
	case duration > 0:
		fits := int(math.Ceil(rate*duration.Seconds() - 1e-9))
		if count == 0 || fits < count {
			count = fits
		}
	}
	if count > Most {
		return p, fmt.Errorf("%v a second for %v are %d sign-ins, want at most %d", rate, duration, count, Most)
	}
	return Plan{Count: count, Rate: rate}, nil
}

// Duration is how long the plan takes in the long run.
func (p Plan) Duration() time.Duration {
	return time.Duration(float64(p.Count) / p.Rate * float64(time.Second))
}

// All yields the arrivals in order: the number, from 0, and the time after the
// beginning. The first is at 0.
func (p Plan) All() iter.Seq2[int, time.Duration] {
	return func(yield func(int, time.Duration) bool) {
		r := rand.New(rand.NewPCG(p.Seed, 0))
		at := 0.0 // seconds
		for i := range p.Count {
			if !yield(i, time.Duration(at*float64(time.Second))) {
				return
			}
			if p.Even {
				at = float64(i+1) / p.Rate
			} else {
				at += r.ExpFloat64() / p.Rate
			}
		}
	}
}
