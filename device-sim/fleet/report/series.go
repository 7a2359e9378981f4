package report

import (
	"slices"
	"time"
)

// A slot is a stretch of the load: what happened in it, each second.
type slot struct {
	From                 time.Duration
	Tapped, Rang, Ended  float64       // a second
	RangP50, RangP99     time.Duration // of those that tapped in it; 0 without any that rang
	tapped, rang, endeds int
}

// slotWidths are those to choose from; slots is about how many there should be.
var slotWidths = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 5 * time.Minute, 30 * time.Minute, 3 * time.Hour,
}

const mostSlots = 120

// slots cuts the load into stretches of one width.
func (r Report) slots() (width time.Duration, all []slot) {
	i := slices.IndexFunc(slotWidths, func(w time.Duration) bool { return r.Took <= mostSlots*w })
	if i < 0 {
		i = len(slotWidths) - 1
	}
	width = slotWidths[i]
	all = make([]slot, int(r.Took/width)+1)
	waits := make([]Latency, len(all))
	at := func(t time.Duration) int { return int(min(max(t, 0), r.Took) / width) }
	for _, s := range r.SignIns {
		due := at(s.Due)
		all[due].tapped++
		if s.Rang > 0 {
			all[at(s.Rang)].rang++
			if waits[due].h == nil {
				waits[due] = newLatency()
			}
			waits[due].add(s.Rang - s.Due)
		}
		if s.Ended > 0 {
			all[at(s.Ended)].endeds++
		}
	}
	for i := range all {
		s := &all[i]
		s.From = time.Duration(i) * width
		s.Tapped, s.Rang, s.Ended = float64(s.tapped)/width.Seconds(), float64(s.rang)/width.Seconds(), float64(s.endeds)/width.Seconds()
		if waits[i].h != nil {
			s.RangP50, s.RangP99 = waits[i].At(0.5), waits[i].At(0.99)
		}
	}
	return width, all
}
