package habit_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/device-sim/habit"
	"github.com/carillon-iot/carillon/device-sim/phone"
)

func parse(t *testing.T, text string) habit.Delay {
	t.Helper()
	d, err := habit.ParseDelay(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sample returns what many people do, delays in ascending order.
func sample(h habit.Habit) (verdicts map[phone.Verdict]float64, delays []time.Duration) {
	const n = 20_000
	verdicts = map[phone.Verdict]float64{}
	for i := range n {
		v, d := h.Answer(fmt.Sprint("p", i), 1)
		verdicts[v] += 1. / n
		delays = append(delays, d)
	}
	slices.Sort(delays)
	return verdicts, delays
}

// at returns a percentile in seconds.
func at(delays []time.Duration, percent int) float64 {
	return delays[len(delays)*percent/100].Seconds()
}

func TestDistributions(t *testing.T) {
	for _, c := range []struct {
		text              string
		p10, median, most float64 // seconds; most 0: no bound
	}{
		{"5s", 5, 5, 5},
		{"0s", 0, 0, 0.001},
		{"uniform:10s-20s", 11, 15, 20},
		{"uniform:7s-7s", 7, 7, 7},
		{"exp:20s", 20 * -math.Log(0.9), 20 * math.Ln2, 0},
		{"lognormal:12s,0.7", 12 * math.Exp(-1.2816*0.7), 12, 0},
		{"lognormal:12s,0", 12, 12, 12.001},
	} {
		_, delays := sample(habit.Habit{After: parse(t, c.text), Seed: 1})
		for _, p := range []struct {
			percent int
			want    float64
		}{{10, c.p10}, {50, c.median}} {
			if got := at(delays, p.percent); math.Abs(got-p.want) > 0.05*p.want {
				t.Errorf("%s: percentile %d is %v s, want %v", c.text, p.percent, got, p.want)
			}
		}
		longest := delays[len(delays)-1]
		if delays[0] < 0 || longest > 24*time.Hour || c.most > 0 && longest.Seconds() > c.most {
			t.Errorf("%s: from %v to %v", c.text, delays[0], longest)
		}
		if got := parse(t, c.text).String(); parse(t, got) != parse(t, c.text) {
			t.Errorf("%s as text is %s", c.text, got)
		}
	}
}

func TestParts(t *testing.T) {
	verdicts, _ := sample(habit.Habit{Deny: 0.2, Ignore: 0.1, Seed: 1})
	for v, want := range map[phone.Verdict]float64{phone.Denied: 0.2, phone.Ignored: 0.1, phone.Approved: 0.7} {
		if got := verdicts[v]; math.Abs(got-want) > 0.02 {
			t.Errorf("%v: %v of all, want %v", v, got, want)
		}
	}
}

// The same person does the same at the same request, and something else at
// another, or with another seed.
func TestSeed(t *testing.T) {
	h := habit.Habit{After: parse(t, "exp:20s"), Deny: 0.5, Seed: 7}
	other := h
	other.Seed = 8
	v, d := h.Answer("anna", 3)
	if again, same := h.Answer("anna", 3); again != v || same != d {
		t.Errorf("%v after %v, then %v after %v", v, d, again, same)
	}
	for name, x := range map[string]func() (phone.Verdict, time.Duration){
		"person":  func() (phone.Verdict, time.Duration) { return h.Answer("bela", 3) },
		"request": func() (phone.Verdict, time.Duration) { return h.Answer("anna", 4) },
		"seed":    func() (phone.Verdict, time.Duration) { return other.Answer("anna", 3) },
	} {
		if _, same := x(); same == d {
			t.Errorf("another %s thinks for %v too", name, same)
		}
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "not a time",
		"soon":             `"soon" is not a time such as 500ms`,
		"-1s":              "not between 0 and 24h",
		"25h":              "not between 0 and 24h",
		"normal:5s":        "there are uniform, exp and lognormal",
		"uniform:5s":       "uniform:SHORTEST-LONGEST",
		"uniform:60s-5s":   "the longest is shorter",
		"uniform:a-5s":     `"a" is not a time`,
		"uniform:1s--5s":   "not between 0 and 24h",
		"exp:":             "not a time",
		"lognormal:5s":     "MEDIAN,SPREAD",
		"lognormal:5s,x":   "MEDIAN,SPREAD",
		"lognormal:5s,-1":  "MEDIAN,SPREAD",
		"lognormal:5s,NaN": "MEDIAN,SPREAD",
		"lognormal:x,1":    "not a time",
	} {
		if d, err := habit.ParseDelay(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %v, error %v, want %q", text, d, err, want)
		}
	}
	for _, h := range []habit.Habit{{Deny: -0.1}, {Ignore: 1.1}, {Deny: math.NaN()}, {Deny: 0.6, Ignore: 0.6}} {
		if h.Validate() == nil {
			t.Errorf("%+v is accepted", h)
		}
	}
	if err := (habit.Habit{Deny: 0.5, Ignore: 0.5}).Validate(); err != nil {
		t.Error(err)
	}
}

// A habit survives in a file.
func TestJSON(t *testing.T) {
	h := habit.Habit{After: parse(t, "lognormal:12s,0.7"), Deny: 0.25, Seed: 1 << 60}
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var again habit.Habit
	if err := json.Unmarshal(data, &again); err != nil || again != h {
		t.Errorf("%s became %+v, error %v", data, again, err)
	}
}
