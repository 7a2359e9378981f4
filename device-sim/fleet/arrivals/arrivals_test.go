package arrivals_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/device-sim/fleet/arrivals"
)

func TestFit(t *testing.T) {
	for _, c := range []struct {
		name     string
		count    int
		rate     float64
		duration time.Duration
		want     arrivals.Plan
		problem  string
	}{
		{"rate and duration", 0, 5, 10 * time.Second, arrivals.Plan{Count: 50, Rate: 5}, ""},
		{"a part of one", 0, 0.3, 4 * time.Second, arrivals.Plan{Count: 2, Rate: 0.3}, ""},
		{"no rounding up", 0, 0.1, 30 * time.Second, arrivals.Plan{Count: 3, Rate: 0.1}, ""},
		{"count and duration", 50, 0, 10 * time.Second, arrivals.Plan{Count: 50, Rate: 5}, ""},
		{"count and rate", 50, 5, 0, arrivals.Plan{Count: 50, Rate: 5}, ""},
		{"count ends first", 20, 5, 10 * time.Second, arrivals.Plan{Count: 20, Rate: 5}, ""},
		{"duration ends first", 500, 5, 10 * time.Second, arrivals.Plan{Count: 50, Rate: 5}, ""},
		{"nothing", 0, 0, 0, arrivals.Plan{}, "two of"},
		{"count alone", 5, 0, 0, arrivals.Plan{}, "two of"},
		{"rate alone", 0, 5, 0, arrivals.Plan{}, "with a rate"},
		{"negative", -1, 5, time.Second, arrivals.Plan{}, "-1 sign-ins"},
		{"backwards", 1, 5, -time.Second, arrivals.Plan{}, "duration of -1s"},
		{"no number", 1, math.NaN(), time.Second, arrivals.Plan{}, "rate of NaN"},
		{"too many", 0, 1e6, time.Hour, arrivals.Plan{}, "at most 5000000"},
	} {
		got, err := arrivals.Fit(c.count, c.rate, c.duration)
		if got != c.want || (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %+v, error %v, want %+v and %q", c.name, got, err, c.want, c.problem)
		}
	}
}

func times(p arrivals.Plan) (all []time.Duration) {
	for i, at := range p.All() {
		if i != len(all) {
			panic("out of order")
		}
		all = append(all, at)
	}
	return all
}

func TestEven(t *testing.T) {
	all := times(arrivals.Plan{Count: 4, Rate: 3, Even: true})
	if len(all) != 4 || all[0] != 0 || all[3] != time.Second {
		t.Errorf("arrivals at %v", all)
	}
}

// Pauses are exponential: the mean is that of the rate, and a part of 1/e is
// longer.
func TestPoisson(t *testing.T) {
	p := arrivals.Plan{Count: 50_000, Rate: 100, Seed: 3}
	all := times(p)
	longer := 0
	for i := 1; i < len(all); i++ {
		pause := all[i] - all[i-1]
		if pause < 0 {
			t.Fatalf("arrival %d comes %v before the last", i, -pause)
		}
		if pause > 10*time.Millisecond {
			longer++
		}
	}
	if took := all[len(all)-1].Seconds(); all[0] != 0 || math.Abs(took-p.Duration().Seconds()) > 0.02*took {
		t.Errorf("from %v to %v s, want %v", all[0], took, p.Duration())
	}
	if part := float64(longer) / float64(len(all)); math.Abs(part-1/math.E) > 0.01 {
		t.Errorf("a part of %v of the pauses is longer than the mean, want 1/e", part)
	}
	if again := times(p); again[777] != all[777] {
		t.Error("the same seed, and other times")
	}
	p.Seed++
	if other := times(p); other[777] == all[777] {
		t.Error("another seed, and the same times")
	}
	for i := range p.All() {
		if i == 3 {
			break
		}
	}
}
