package schemas

import "time"

// The freshness window: how far a request's iat may lie from the bridge's
// clock. Behind it counts the time a request waited in the device's outbox.
const (
	WindowPast   = 5 * time.Minute
	WindowFuture = time.Minute
)

// Fresh compares whole seconds, bounds included. It returns an [*Error] of class stale where a request issued at iat
// (seconds since 1970) lies outside the window at now. The bridge then refuses
// with clock_skew and its own time.
func Fresh(iat uint64, now time.Time) error {
	if iat > maxTime {
		return failf(ClassStale, "iat", "%d seconds, limit %d", iat, uint64(maxTime))
	}
	age, past, future := now.Unix()-int64(iat), int64(WindowPast/time.Second), int64(WindowFuture/time.Second)
	if age > past || age < -future {
		return failf(ClassStale, "iat", "issued %d s ago by this clock, want %d to %d", age, -future, past)
	}
	return nil
}

// Seconds is t on the wire. Times before 1970 become 1: zero stands for
// absence.
func Seconds(t time.Time) uint64 { return uint64(max(t.Unix(), 1)) }
