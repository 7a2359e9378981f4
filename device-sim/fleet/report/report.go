// Package report says what a load has shown: to people as text and as a page, to
// scripts as one JSON object.
package report

import (
	"cmp"
	"slices"
	"time"
)

// Setup is what was run.
type Setup struct {
	Devices, Bridges int
	Store            string // "sqlite", or which database
	Broker           string // address of somebody else's; "" if it was one of ours
	Rate             float64
	Planned          int // sign-ins
	Thinking         string
	Deny, Ignore     float64
	Expiry, Interval time.Duration
	Seed             uint64
	Began            time.Time // the first sign-in
}

// Connecting is what it took before the first sign-in: enrolment, then a TLS
// connection and an introduction for each device.
type Connecting struct {
	Enrolling, Took time.Duration
	CPU             map[string]time.Duration // by part, of Took
	DeviceMemory    int64                    // bytes that each device takes in this process, about
}

// Each is the CPU time of all parts for one of the devices.
func (c Connecting) Each(devices int) (sum time.Duration) {
	for _, cpu := range c.CPU {
		sum += cpu
	}
	return sum / time.Duration(max(devices, 1))
}

// Traffic is bytes at the devices' connections.
type Traffic struct{ Up, Down int64 }

// A Part is what one part has cost.
type Part struct {
	Name string
	CPU  time.Duration // from the first sign-in to the end, over all its lives
	Peak int64         // the most bytes of memory that one life of it held
}

// A Kill is one that was done.
type Kill struct {
	Part     string
	At, Down time.Duration // when, and for how long; 0 if it was not back before the end
}

// Input is what a report is made of.
type Input struct {
	Setup      Setup
	Connecting Connecting
	SignIns    []SignIn
	Strays     int // requests at the provider for people for whom no device had asked
	Kills      []Kill
	Parts      []Part
	// Radio is MQTT from the first sign-in to the end, Carrier the TLS around it,
	// Reconnects what is in it beside sign-ins.
	Radio, Carrier Traffic
	Reconnects     int
	Starved        int  // arrivals for which no device was idle
	Interrupted    bool // before the plan was done
}

// A Report is what a load has shown.
type Report struct {
	Input
	Outcomes map[Outcome]int
	Codes    map[Outcome]map[string]int // of Refused and of Lost
	// SecondPushes are the sign-ins for which the provider accepted more than one
	// request, and the requests that nobody had asked for; Duplicates the
	// sign-ins that ended, or were paid out in tokens, more than once.
	SecondPushes, Duplicates int
	// Rang is from the driver's tap to when the device says that the phone rings,
	// Token from the approval to when the device has the token.
	Rang, Token Latency
	Took        time.Duration // from the first tap to the last that is known
}

// New makes a report.
func New(in Input) Report {
	r := Report{
		Input: in, Outcomes: map[Outcome]int{}, Codes: map[Outcome]map[string]int{Refused: {}, Lost: {}},
		Rang: newLatency(), Token: newLatency(),
	}
	r.SecondPushes = in.Strays
	for _, s := range in.SignIns {
		r.Outcomes[s.Outcome]++
		if codes := r.Codes[s.Outcome]; codes != nil && s.Code != "" {
			codes[s.Code]++
		}
		if s.Pushes > 1 {
			r.SecondPushes++
		}
		if s.Ends > 1 || s.Redeemed > 1 {
			r.Duplicates++
		}
		if s.Rang > 0 {
			r.Rang.add(s.Rang - s.Due)
		}
		if s.Outcome == Granted && s.Approved > 0 {
			r.Token.add(s.Ended - s.Approved)
		}
		r.Took = max(r.Took, s.Due, s.Rang, s.Ended)
	}
	r.Kills = slices.SortedFunc(slices.Values(in.Kills), func(a, b Kill) int { return cmp.Compare(a.At, b.At) })
	return r
}

// Failed reports whether Carillon did what it must never do.
func (r Report) Failed() bool { return r.Outcomes[Lost] > 0 || r.SecondPushes > 0 }

// each divides by the number of sign-ins.
func (r Report) each(n int64) float64 {
	if len(r.SignIns) == 0 {
		return 0
	}
	return float64(n) / float64(len(r.SignIns))
}

// CPUEach is the CPU time of a part for each sign-in.
func (r Report) CPUEach(p Part) time.Duration { return time.Duration(r.each(int64(p.CPU))) }

// RadioEach and CarrierEach are the bytes for each sign-in: of MQTT, and of the
// TLS around it.
func (r Report) RadioEach() (up, down float64) { return r.each(r.Radio.Up), r.each(r.Radio.Down) }

// CarrierEach is like RadioEach.
func (r Report) CarrierEach() (up, down float64) {
	return r.each(r.Carrier.Up), r.each(r.Carrier.Down)
}

// codes are those of an outcome, the most frequent first.
func (r Report) codes(o Outcome) []codeCount {
	var all []codeCount
	for code, n := range r.Codes[o] {
		all = append(all, codeCount{code, n})
	}
	slices.SortFunc(all, func(a, b codeCount) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Code, b.Code)) })
	return all
}

type codeCount struct {
	Code string
	N    int
}
