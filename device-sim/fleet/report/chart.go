package report

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// A chart is what the page draws: lines in a square of 100 by 100 that is
// stretched to whatever place there is, with labels around it that are not. Both
// axes count from the lower left.
type chart struct {
	ID, Title, Note string
	Lines           []line
	X, Y            []tick
	Marks           []tick // vertical lines
}

// A line is a curve, with gaps where nothing is known.
type line struct {
	Name string
	Path string // of an SVG, whose y counts from above
}

// A tick is a place on an axis, in parts of 100.
type tick struct {
	At    float64
	Label string
}

// Up is At as an SVG counts it, from above.
func (t tick) Up() float64 { return 100 - t.At }

// pen draws a line point by point.
type pen struct {
	b  strings.Builder
	up bool // the next point begins a new stroke
}

func newPen() *pen { return &pen{up: true} }

func (p *pen) to(x, y float64) {
	command := "L"
	if p.up {
		command, p.up = "M", false
	}
	fmt.Fprintf(&p.b, "%s%.2f %.2f", command, within(x), 100-within(y))
}

func (p *pen) lift() { p.up = true }

func within(x float64) float64 { return min(max(x, 0), 100) }

// throughput is what happens each second, over time.
func (r Report) throughput(all []slot, width time.Duration) chart {
	c := chart{
		ID: "throughput", Title: "What happens each second",
		Note: "Drivers tap, whatever happens; devices ring, and sign-ins end.",
	}
	most := 0.0
	for _, s := range all {
		most = max(most, s.Tapped, s.Rang, s.Ended)
	}
	top, step := scale(most)
	for y := 0.0; y <= top+step/2; y += step {
		c.Y = append(c.Y, tick{100 * y / top, fmt.Sprintf("%.4g", y)})
	}
	span := time.Duration(len(all)) * width
	for _, l := range []struct {
		name  string
		value func(slot) float64
	}{
		{"taps", func(s slot) float64 { return s.Tapped }},
		{"phones begin to ring", func(s slot) float64 { return s.Rang }},
		{"sign-ins end", func(s slot) float64 { return s.Ended }},
	} {
		p := newPen()
		for _, s := range all {
			p.to(part(s.From+width/2, span), 100*l.value(s)/top)
		}
		c.Lines = append(c.Lines, line{l.name, p.b.String()})
	}
	r.overTime(&c, span)
	return c
}

// waiting is how long drivers wait for the ringing, over the time of their taps.
func (r Report) waiting(all []slot, width time.Duration) chart {
	c := chart{
		ID: "waiting", Title: "Tap to ringing, over time",
		Note: "Of those who tapped in the same moment. What is late because a part was dead counts from the tap.",
	}
	least, most := bounds(r.Rang, 0.01)
	axis := newLogAxis(least, most)
	c.Y = axis.ticks()
	span := time.Duration(len(all)) * width
	for _, l := range []struct {
		name  string
		value func(slot) time.Duration
	}{{"half waits less", func(s slot) time.Duration { return s.RangP50 }}, {"1 in 100 waits longer", func(s slot) time.Duration { return s.RangP99 }}} {
		p := newPen()
		for _, s := range all {
			if v := l.value(s); v > 0 {
				p.to(part(s.From+width/2, span), axis.at(v))
			} else {
				p.lift()
			}
		}
		c.Lines = append(c.Lines, line{l.name, p.b.String()})
	}
	r.overTime(&c, span)
	return c
}

// percentiles are the latencies of all, the slowest ones stretched: each step to
// the right is a tenth of those who are left.
func (r Report) percentiles() chart {
	c := chart{
		ID: "percentiles", Title: "How long it takes",
		Note: "Read: so many of all take no longer than this. Both axes are logarithmic.",
	}
	decades := 2 // to 99 %, and further where there are enough of them
	for n := r.Rang.Count(); n >= 1000 && decades < 5; n /= 10 {
		decades++
	}
	least, most := time.Duration(math.MaxInt64), time.Duration(1)
	for _, l := range r.latencies() {
		if l.Count() > 0 {
			a, b := bounds(l.Latency, 0.01)
			least, most = min(least, a), max(most, b)
		}
	}
	axis := newLogAxis(min(least, most), most)
	c.Y = axis.ticks()
	for _, l := range r.latencies() {
		p := newPen()
		for i := 0; l.Count() > 0 && i <= 200; i++ {
			left := math.Pow(10, -float64(decades*i)/200) // of all, who take longer
			p.to(100*float64(i)/200, axis.at(l.At(1-left)))
			if left*float64(l.Count()) < 1 {
				break
			}
		}
		c.Lines = append(c.Lines, line{l.name, p.b.String()})
	}
	for i, label := range []string{"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"}[:decades+1] {
		c.X = append(c.X, tick{100 * float64(i) / float64(decades), label})
	}
	return c
}

// overTime adds the axis of time and the kills.
func (r Report) overTime(c *chart, span time.Duration) {
	top, step := scale(span.Seconds())
	for x := 0.0; x <= min(top, span.Seconds()); x += step {
		c.X = append(c.X, tick{100 * x / span.Seconds(), fmt.Sprintf("%.4g s", x)})
	}
	for _, k := range r.Kills {
		c.Marks = append(c.Marks, tick{part(k.At, span), k.Part})
	}
}

func part(t, of time.Duration) float64 { return 100 * float64(t) / float64(of) }

// bounds are the least and the most of a latency, without the quickest few.
func bounds(l Latency, from float64) (least, most time.Duration) {
	return max(l.At(from), time.Microsecond), max(l.At(1), 2*time.Microsecond)
}

// scale returns a round number of at least most, and a step of which there are
// four to ten in it.
func scale(most float64) (top, step float64) {
	if most <= 0 {
		return 1, 0.25
	}
	step = math.Pow(10, math.Floor(math.Log10(most)))
	for most/step < 4 {
		step /= 2
	}
	return step * math.Ceil(most/step-1e-9), step
}

// logAxis is one of times, from one power of ten to another.
type logAxis struct{ from, to float64 } // powers of ten of a second

func newLogAxis(least, most time.Duration) logAxis {
	a := logAxis{math.Floor(math.Log10(least.Seconds())), math.Ceil(math.Log10(most.Seconds()))}
	a.to = max(a.to, a.from+1)
	return a
}

func (a logAxis) at(t time.Duration) float64 {
	return 100 * (math.Log10(max(t, 1).Seconds()) - a.from) / (a.to - a.from)
}

func (a logAxis) ticks() (all []tick) {
	for p := a.from; p <= a.to; p++ {
		t := time.Duration(math.Round(math.Pow(10, p) * float64(time.Second)))
		label := fmt.Sprintf("%.0f s", t.Seconds())
		switch {
		case t < time.Millisecond:
			label = fmt.Sprintf("%d µs", t.Microseconds())
		case t < time.Second:
			label = fmt.Sprintf("%d ms", t.Milliseconds())
		}
		all = append(all, tick{100 * (p - a.from) / (a.to - a.from), label})
	}
	return all
}
