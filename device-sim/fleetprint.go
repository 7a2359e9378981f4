package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/device-sim/fleet"
	"github.com/carillon-iot/carillon/device-sim/fleet/report"
)

// A fleetPrinter shows how a load goes. Its methods are not called concurrently.
type fleetPrinter interface {
	happened(fleet.Event)
	progress(fleet.Progress)
	done() // nothing more of these two
	report(report.Report) error
}

func newFleetPrinter(std stdio, asJSON bool) fleetPrinter {
	if asJSON {
		return &fleetJSON{enc: json.NewEncoder(std.out)}
	}
	every := 5 * time.Second
	if std.status {
		every = 0
	}
	return &fleetLines{out: std.out, status: std.err, rewrite: std.status, every: every, last: time.Now()}
}

// fleetLines are for people: what happens, one line about how far it is, on
// standard error, and at the end the report.
type fleetLines struct {
	out, status io.Writer
	rewrite     bool          // the line, on a terminal
	every       time.Duration // between two lines otherwise
	last        time.Time
	width       int // of the line that stands there
}

func (p *fleetLines) happened(e fleet.Event) {
	p.clear()
	fmt.Fprintf(p.status, "%s  %s\n", p.when(e.At), e.Text)
}

// when is the time of a line; before the load there is none.
func (p *fleetLines) when(at time.Duration) string {
	if at == 0 {
		return strings.Repeat(" ", 9)
	}
	return fmt.Sprintf("%7.1f s", at.Seconds())
}

func (p *fleetLines) progress(s fleet.Progress) {
	now := time.Now()
	if now.Sub(p.last) < p.every {
		return
	}
	p.last = now
	text := fmt.Sprintf("%s  %d asked, %d open, %d granted", p.when(s.At), s.Asked, s.Open, s.Granted)
	if s.At == 0 {
		text = fmt.Sprintf("%s  %d devices are connected", p.when(0), s.Connected)
	}
	for _, o := range []struct {
		n    int
		name string
	}{{s.Denied, "denied"}, {s.Expired, "expired"}, {s.Refused, "refused"}, {s.Lost, "LOST"}} {
		if o.n > 0 {
			text += fmt.Sprintf(", %d %s", o.n, o.name)
		}
	}
	if !p.rewrite {
		fmt.Fprintln(p.status, text)
		return
	}
	p.clear()
	fmt.Fprint(p.status, text)
	p.width = len(text)
}

// clear removes the line that stands there.
func (p *fleetLines) clear() {
	if p.width > 0 {
		fmt.Fprintf(p.status, "\r%s\r", strings.Repeat(" ", p.width))
		p.width = 0
	}
}

func (p *fleetLines) done() { p.clear() }

func (p *fleetLines) report(r report.Report) error {
	fmt.Fprintln(p.status)
	return r.WriteText(p.out)
}

// fleetJSON prints one object a line.
type fleetJSON struct {
	enc  *json.Encoder
	last time.Duration
}

func (p *fleetJSON) happened(e fleet.Event) {
	_ = p.enc.Encode(struct { // who reads may have gone
		Event string `json:"event"`
		MS    int64  `json:"ms"`
		Who   string `json:"who,omitempty"`
		Text  string `json:"text"`
	}{e.What, e.At.Milliseconds(), e.Who, e.Text})
}

// progress prints an object each second of the load.
func (p *fleetJSON) progress(s fleet.Progress) {
	if s.At-p.last < time.Second {
		return
	}
	p.last = s.At
	_ = p.enc.Encode(struct {
		Event   string `json:"event"`
		MS      int64  `json:"ms"`
		Asked   int    `json:"asked"`
		Open    int    `json:"open"`
		Granted int    `json:"granted"`
		Denied  int    `json:"denied"`
		Expired int    `json:"expired"`
		Refused int    `json:"refused"`
		Lost    int    `json:"lost"`
	}{"progress", s.At.Milliseconds(), s.Asked, s.Open, s.Granted, s.Denied, s.Expired, s.Refused, s.Lost})
}

func (p *fleetJSON) done() {}

func (p *fleetJSON) report(r report.Report) error { return p.enc.Encode(r.Summary()) }
