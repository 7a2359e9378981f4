package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/carillon-iot/carillon/device-sim/scenario"
	"github.com/carillon-iot/carillon/device-sim/scenario/script"
	"github.com/carillon-iot/carillon/device-sim/world"
)

// A printer shows what happens, as it happens.
type printer interface {
	event(world.Event)
	step(script.Step)
	note(format string, args ...any) // for people only
	heading()                        // of the columns
	summary(summary)
}

func newPrinter(std stdio, asJSON bool) printer {
	if asJSON {
		return &jsonPrinter{enc: json.NewEncoder(std.out)}
	}
	return &linePrinter{w: std.out, colour: std.colour}
}

// summary is the last object of --json.
type summary struct {
	Event     string   `json:"event"` // "summary"
	Scenario  string   `json:"scenario"`
	Outcome   string   `json:"outcome"` // "passed" or "failed"
	Problem   string   `json:"problem,omitempty"`
	Answers   []string `json:"answers"`
	BytesUp   int64    `json:"bytes_up"`
	BytesDown int64    `json:"bytes_down"`
	Pushes    int      `json:"pushes"`
	MS        int64    `json:"ms"`
	StartMS   int64    `json:"start_ms"`
	Seed      uint64   `json:"seed"`
}

func summaryOf(r scenario.Result) summary {
	s := summary{
		Event: "summary", Scenario: r.Scenario, Outcome: r.Outcome, Answers: r.Answers, BytesUp: r.Up, BytesDown: r.Down,
		Pushes: r.Pushes, MS: r.Took.Milliseconds(), StartMS: r.Start.Milliseconds(), Seed: r.Seed,
	}
	if r.Problem != nil {
		s.Problem = r.Problem.Error()
	}
	return s
}

// jsonPrinter prints one object a line.
type jsonPrinter struct {
	mu  sync.Mutex // guards enc
	enc *json.Encoder
}

func (p *jsonPrinter) put(v any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.enc.Encode(v) // who reads may have gone
}

func (p *jsonPrinter) event(e world.Event) {
	p.put(struct {
		Event     string  `json:"event"`
		Who       string  `json:"who"`
		Text      string  `json:"text"`
		MS        float64 `json:"ms"`
		TookMS    float64 `json:"took_ms"`
		BytesUp   int64   `json:"bytes_up"`
		BytesDown int64   `json:"bytes_down"`
	}{e.What, e.Who, strings.TrimSpace(e.Text), milliseconds(e.At), milliseconds(e.Took), e.Up, e.Down})
}

func (p *jsonPrinter) step(s script.Step) {
	p.put(struct {
		Event string `json:"event"`
		Line  int    `json:"line"`
		Kind  string `json:"kind"`
		Text  string `json:"text"`
	}{"step", s.Line, s.Kind.String(), s.Text})
}

func (p *jsonPrinter) note(string, ...any) {}
func (p *jsonPrinter) heading()            {}
func (p *jsonPrinter) summary(s summary)   { p.put(s) }

// milliseconds are rounded to a tenth.
func milliseconds(d time.Duration) float64 { return float64(d.Round(100*time.Microsecond)) / 1e6 }

// linePrinter prints aligned lines for people.
type linePrinter struct {
	mu     sync.Mutex // guards w
	w      io.Writer
	colour bool
}

const (
	bold  = "1"
	dim   = "2"
	green = "32"
	red   = "31"
)

func (p *linePrinter) paint(code, s string) string {
	if !p.colour || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *linePrinter) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, format, args...)
}

func (p *linePrinter) heading() {
	p.printf("%s\n", p.paint(dim, "     ms   +ms    up  down"))
}

// shade is the colour of everybody's name.
func shade(who string) string {
	switch {
	case strings.HasPrefix(who, "blue"):
		return "34"
	case strings.HasPrefix(who, "red"):
		return "31"
	case strings.HasSuffix(who, "phone"):
		return "35"
	}
	return "36"
}

func (p *linePrinter) event(e world.Event) {
	name := e.Who + strings.Repeat(" ", max(0, 13-utf8.RuneCountInString(e.Who)))
	text := e.Text
	if strings.HasPrefix(e.What, "refused") || e.What == "lost" || e.What == "disconnected" || e.What == "too-late" {
		text = p.paint(red, text)
	}
	took := fmt.Sprintf("%5.0f", e.Took.Seconds()*1e3)
	if e.Took < 10*time.Millisecond {
		took = fmt.Sprintf("%5.1f", e.Took.Seconds()*1e3)
	}
	p.printf("%7.0f %s %5s %5s  %s %s\n", e.At.Seconds()*1e3, p.paint(dim, took), bytesOf(e.Up), bytesOf(e.Down), p.paint(shade(e.Who), name), text)
}

func bytesOf(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func (p *linePrinter) step(s script.Step) {
	p.printf("%s\n", p.paint(bold, strings.Repeat(" ", 25)+"» "+s.Text))
}

func (p *linePrinter) note(format string, args ...any) { p.printf(format+"\n", args...) }

func (p *linePrinter) summary(s summary) {
	mark := p.paint(green, s.Outcome)
	if s.Outcome != scenario.Passed {
		mark = p.paint(red, s.Outcome)
	}
	p.printf("%s %-20s %5d bytes up %6d down  %s  %5d ms\n", mark, s.Scenario, s.BytesUp, s.BytesDown, plural(s.Pushes, "push", "pushes"), s.MS)
	if s.Problem != "" {
		p.printf("       %s\n", s.Problem)
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
