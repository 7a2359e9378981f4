package habit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// longest bounds a delay that is drawn or given: nobody is rung for longer.
const longest = 24 * time.Hour

// A Delay is a distribution of times. The zero Delay is always 0. As text it is
// one of
//
//	5s                   always this
//	uniform:5s-60s       any time between, equally often
//	exp:20s              exponential with this mean: most are quick, few take long
//	lognormal:12s,0.7    this median, and a factor of e^0.7 up or down for about a third each:
//	                     how people react, who need a moment at least
type Delay struct {
	kind kind
	a, b time.Duration // constant: a; uniform: from a to b; exponential: mean a; lognormal: median a
	sd   float64       // lognormal: standard deviation of the logarithm
}

type kind uint8

const (
	constant kind = iota
	uniform
	exponential
	lognormal
)

// Lognormal is like lognormal:MEDIAN,SPREAD.
func Lognormal(median time.Duration, spread float64) Delay {
	return Delay{kind: lognormal, a: median, sd: spread}
}

// ParseDelay reads a distribution.
func ParseDelay(text string) (Delay, error) {
	name, args, named := strings.Cut(text, ":")
	var d Delay
	var err error
	switch {
	case !named:
		d.a, err = parseTime(text)
	case name == "uniform":
		d.kind = uniform
		from, to, ok := strings.Cut(args, "-")
		if !ok {
			return Delay{}, fmt.Errorf("%q is not uniform:SHORTEST-LONGEST, such as uniform:5s-60s", text)
		}
		if d.a, err = parseTime(from); err == nil {
			d.b, err = parseTime(to)
		}
		if err == nil && d.b < d.a {
			err = fmt.Errorf("the longest is shorter than the shortest")
		}
	case name == "exp":
		d.kind = exponential
		d.a, err = parseTime(args)
	case name == "lognormal":
		d.kind = lognormal
		d.a, d.sd, err = parseLognormal(args)
	default:
		err = fmt.Errorf("%q is no distribution; there are uniform, exp and lognormal", name)
	}
	if err != nil {
		return Delay{}, fmt.Errorf("%q: %w", text, err)
	}
	return d, nil
}

func parseTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time such as 500ms, 5s or 2m", text)
	}
	if d < 0 || d > longest {
		return 0, fmt.Errorf("%v is not between 0 and %v", d, longest)
	}
	return d, nil
}

func parseLognormal(args string) (median time.Duration, sd float64, err error) {
	first, second, _ := strings.Cut(args, ",")
	if sd, err = strconv.ParseFloat(second, 64); err != nil || !(sd >= 0 && sd <= 5) { // a NaN is not
		return 0, 0, fmt.Errorf("want MEDIAN,SPREAD with a spread from 0 to 5, such as lognormal:12s,0.7")
	}
	median, err = parseTime(first)
	return median, sd, err
}

// draw returns one time.
func (d Delay) draw(r *rand.Rand) time.Duration {
	t := float64(d.a)
	switch d.kind {
	case constant:
		return d.a
	case uniform:
		t += r.Float64() * float64(d.b-d.a)
	case exponential:
		t *= r.ExpFloat64()
	case lognormal:
		t *= math.Exp(d.sd * r.NormFloat64())
	}
	return time.Duration(min(t, float64(longest)))
}

// String returns the text that ParseDelay reads.
func (d Delay) String() string {
	switch d.kind {
	case uniform:
		return fmt.Sprintf("uniform:%v-%v", d.a, d.b)
	case exponential:
		return fmt.Sprintf("exp:%v", d.a)
	case lognormal:
		return fmt.Sprintf("lognormal:%v,%v", d.a, d.sd)
	}
	return d.a.String()
}

// Set makes a *Delay a flag.Value.
func (d *Delay) Set(text string) (err error) {
	*d, err = ParseDelay(text)
	return err
}

// MarshalText is String.
func (d Delay) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDelay.
func (d *Delay) UnmarshalText(text []byte) error { return d.Set(string(text)) }
