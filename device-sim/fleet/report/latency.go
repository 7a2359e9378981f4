package report

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latency is how long something took, of all who got that far.
type Latency struct {
	h *hdrhistogram.Histogram // microseconds
}

// Latencies are known to three digits, and bounded: what took longer than an hour
// counts as an hour.
const (
	digits  = 3
	longest = time.Hour
)

func newLatency() Latency { return Latency{hdrhistogram.New(1, longest.Microseconds(), digits)} }

// add takes in one. What a clock that steps makes negative counts as nothing.
func (l Latency) add(d time.Duration) {
	_ = l.h.RecordValue(min(max(d, 0), longest).Microseconds()) // within bounds, so never refused
}

// Count is how many there are.
func (l Latency) Count() int { return int(l.h.TotalCount()) }

// At returns the time within which a part of all were done, from 0 to 1; 1 is the
// longest. Without any it is 0.
func (l Latency) At(quantile float64) time.Duration {
	if l.Count() == 0 {
		return 0
	}
	if quantile >= 1 {
		return time.Duration(l.h.Max()) * time.Microsecond
	}
	return time.Duration(l.h.ValueAtQuantile(quantile*100)) * time.Microsecond
}
