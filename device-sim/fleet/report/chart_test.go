package report

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestScale(t *testing.T) {
	for _, c := range []struct{ most, top, step float64 }{
		{0, 1, 0.25}, {1, 1, 0.25}, {4, 4, 1}, {9.5, 10, 1}, {10, 10, 2.5}, {12, 12.5, 2.5}, {50, 50, 10}, {119, 125, 25}, {500, 500, 100},
		{1200, 1250, 250}, {0.3, 0.3, 0.05},
	} {
		top, step := scale(c.most)
		if math.Abs(top-c.top) > 1e-9 || math.Abs(step-c.step) > 1e-9 {
			t.Errorf("up to %v: to %v by %v, want to %v by %v", c.most, top, step, c.top, c.step)
		}
	}
}

func TestLogAxis(t *testing.T) {
	a := newLogAxis(3*time.Millisecond, 4*time.Second)
	var labels []string
	for _, x := range a.ticks() {
		labels = append(labels, x.Label)
	}
	if got := strings.Join(labels, ", "); got != "1 ms, 10 ms, 100 ms, 1 s, 10 s" {
		t.Errorf("ticks %s", got)
	}
	for at, want := range map[time.Duration]float64{time.Millisecond: 0, 100 * time.Millisecond: 50, 10 * time.Second: 100} {
		if got := a.at(at); math.Abs(got-want) > 1e-6 {
			t.Errorf("%v is at %v, want %v", at, got, want)
		}
	}
	if one := newLogAxis(time.Second, time.Second); one.to <= one.from {
		t.Error("an axis of no length")
	}
}

// Slots hold what happened in them, and are few however long the load.
func TestSlots(t *testing.T) {
	const s = time.Second
	r := New(Input{SignIns: []SignIn{
		{Due: 0, Rang: s / 2, Ended: 3 * s, Outcome: Granted},
		{Due: s / 2, Rang: 5 * s / 2, Ended: 3 * s, Outcome: Granted},
		{Due: 2 * s, Ended: 3 * s, Outcome: Refused},
	}})
	width, all := r.slots()
	if width != s || len(all) != 4 {
		t.Fatalf("%d slots of %v", len(all), width)
	}
	for i, want := range []slot{
		{Tapped: 2, Rang: 1}, {From: s}, {From: 2 * s, Tapped: 1, Rang: 1}, {From: 3 * s, Ended: 3},
	} {
		got := all[i]
		if got.From != want.From || got.Tapped != want.Tapped || got.Rang != want.Rang || got.Ended != want.Ended {
			t.Errorf("slot %d: %+v, want %+v", i, got, want)
		}
	}
	if p99 := all[0].RangP99; p99 < 1990*time.Millisecond || p99 > 2010*time.Millisecond {
		t.Errorf("of those who tapped in the first second, one waits %v", p99)
	}
	if all[2].RangP99 != 0 {
		t.Error("nobody of the third second was rung")
	}
	for _, took := range []time.Duration{0, time.Minute, time.Hour, 24 * time.Hour, 1000 * time.Hour} {
		r := New(Input{SignIns: []SignIn{{Ended: took, Outcome: Granted}}})
		if width, all := r.slots(); len(all) > 4*mostSlots || time.Duration(len(all))*width < took {
			t.Errorf("%v: %d slots of %v", took, len(all), width)
		}
	}
}

// A curve has a gap where nothing is known, and stays within its place.
func TestPen(t *testing.T) {
	p := newPen()
	p.to(-5, 0)
	p.to(50, 200)
	p.lift()
	p.to(100, 100)
	if got := p.b.String(); got != "M0.00 100.00L50.00 0.00M100.00 0.00" {
		t.Errorf("path %q", got)
	}
}

func TestUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 µs", 999 * time.Microsecond: "999 µs", time.Millisecond: "1.00 ms", 12345 * time.Microsecond: "12.3 ms",
		999 * time.Millisecond: "999 ms", 999_900 * time.Microsecond: "1.00 s", 3120 * time.Millisecond: "3.12 s", 2 * time.Minute: "120 s",
	} {
		if got := duration(d); got != want {
			t.Errorf("%d ns is %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 9999: "9999", 10_000: "10,000", 1_234_567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	if got := memory(1); got != "1 MB" {
		t.Errorf("a byte is %q", got)
	}
}
