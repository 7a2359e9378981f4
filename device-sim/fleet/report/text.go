package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// WriteText writes the report for people at a terminal.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	b.WriteString(r.headline() + "\n")
	for _, line := range r.happenings() {
		b.WriteString(line + "\n")
	}
	b.WriteString("\n")
	ends := r.outcomeRows()
	for i, o := range outcomes {
		if why := r.why(o); why != "" {
			ends[i] = append(ends[i], why)
		}
	}
	columns(&b, ends)
	b.WriteString("\n")
	columns(&b, r.latencyRows())
	b.WriteString("\n" + r.traffic() + "\n\n")
	columns(&b, r.costRows())
	_, err := io.WriteString(w, b.String())
	return err
}

// columns writes a table: the first column to the left, those that follow to the
// right, and what a row has beyond the others' columns as it is.
func columns(b *strings.Builder, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i := range width {
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			switch {
			case i == 0:
				line.WriteString(cell + strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)))
			case i < len(width):
				line.WriteString(strings.Repeat(" ", 3+width[i]-utf8.RuneCountInString(cell)) + cell)
			default:
				line.WriteString("   " + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// headline says what was run.
func (r Report) headline() string {
	s := r.Setup
	text := fmt.Sprintf("%s of %s in %s: %.4g a second, %s on %s", plural(len(r.SignIns), "sign-in", "sign-ins"),
		plural(s.Devices, "device", "devices"), seconds(r.Took), s.Rate, plural(s.Bridges, "bridge", "bridges"), s.Store)
	if r.Interrupted {
		text += fmt.Sprintf("; interrupted, %s were planned", thousands(s.Planned))
	}
	return text
}

// happenings are what a reader must know besides.
func (r Report) happenings() (lines []string) {
	for _, k := range r.Kills {
		back := "not back before the end"
		if k.Down > 0 {
			back = "back after " + duration(k.Down)
		}
		lines = append(lines, fmt.Sprintf("kill -9 of the %s at %s, %s", k.Part, seconds(k.At), back))
	}
	if r.Starved > 0 {
		lines = append(lines, fmt.Sprintf("%s found no idle device and had to wait for one: more --devices, or a lower --rate",
			plural(r.Starved, "driver", "drivers")))
	}
	return lines
}

// outcomes in the order in which they are shown.
var outcomes = [...]Outcome{Granted, Denied, Expired, Refused, Lost, Open}

func (r Report) outcomeRows() (rows [][]string) {
	for _, o := range outcomes {
		if o == Open && r.Outcomes[o] == 0 {
			continue
		}
		rows = append(rows, []string{string(o), thousands(r.Outcomes[o]), r.percent(r.Outcomes[o])})
	}
	return append(rows, []string{"second pushes", thousands(r.SecondPushes), ""}, []string{"duplicates", thousands(r.Duplicates), ""})
}

// why are the codes of an outcome.
func (r Report) why(o Outcome) string {
	var parts []string
	for _, c := range r.codes(o) {
		parts = append(parts, fmt.Sprintf("%s %s", thousands(c.N), strings.ReplaceAll(c.Code, "_", " ")))
	}
	return strings.Join(parts, ", ")
}

func (r Report) percent(n int) string { return fmt.Sprintf("%.2f %%", 100*r.each(int64(n))) }

// quantiles are those that are shown.
var quantiles = [...]struct {
	name string
	q    float64
}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"longest", 1}}

func (r Report) latencyRows() [][]string {
	head := []string{""}
	for _, q := range quantiles {
		head = append(head, q.name)
	}
	rows := [][]string{head}
	for _, l := range r.latencies() {
		row := []string{l.name}
		for _, q := range quantiles {
			row = append(row, l.shown(q.q))
		}
		rows = append(rows, row)
	}
	return rows
}

type namedLatency struct {
	name string
	Latency
}

func (l namedLatency) shown(q float64) string {
	if l.Count() == 0 {
		return "–"
	}
	return duration(l.At(q))
}

func (r Report) latencies() []namedLatency {
	return []namedLatency{{"tap to ringing", r.Rang}, {"approval to token", r.Token}}
}

// traffic says what a sign-in costs the radio.
func (r Report) traffic() string {
	up, down := r.RadioEach()
	tlsUp, tlsDown := r.CarrierEach()
	text := fmt.Sprintf("A sign-in costs the radio %.0f bytes up and %.0f down; %.0f and %.0f with TLS", up, down, tlsUp, tlsDown)
	if r.Reconnects > 0 {
		text += fmt.Sprintf(", %s included", plural(r.Reconnects, "new connection", "new connections"))
	}
	return text + "."
}

func (r Report) costRows() [][]string {
	rows := [][]string{{"", "CPU each", "CPU in all", "memory"}}
	for _, p := range r.Parts {
		rows = append(rows, []string{p.Name, duration(r.CPUEach(p)), duration(p.CPU), memory(p.Peak)})
	}
	return rows
}
