package report

import (
	_ "embed" // the template
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

// page is the template's data. It needs nothing but itself: no script, no font,
// no picture from elsewhere.
type page struct {
	Title, Headline string
	Began           string
	Failed          bool
	Verdict         string
	Figures         []figure
	Notes           []string
	Charts          []chart
	Outcomes        [][]string
	Why             []string
	Latencies       [][]string
	Traffic         string
	Costs           [][]string
	Setup           [][2]string
	Width           string
	Slots           [][]string
}

// A figure is one number that matters, and what it is of.
type figure struct{ Value, Name string }

// WriteHTML writes the report as a page for people.
func (r Report) WriteHTML(w io.Writer) error {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return err
	}
	return t.Execute(w, r.page())
}

func (r Report) page() page {
	width, all := r.slots()
	p := page{
		Title: "Carillon under load", Headline: r.headline(), Began: r.Setup.Began.Format("2 January 2006, 15:04 MST"),
		Failed: r.Failed(), Verdict: r.verdict(), Figures: r.figures(), Notes: r.happenings(),
		Charts:   []chart{r.throughput(all, width), r.waiting(all, width), r.percentiles()},
		Outcomes: r.outcomeRows(), Why: r.reasons(), Latencies: r.latencyRows(), Traffic: r.traffic(), Costs: r.costRows(),
		Setup: r.setupRows(), Width: strings.TrimSuffix(width.String(), "0s"),
	}
	if width < time.Minute {
		p.Width = width.String()
	}
	for _, s := range all {
		row := []string{seconds(s.From), fmt.Sprintf("%.4g", s.Tapped), fmt.Sprintf("%.4g", s.Rang), fmt.Sprintf("%.4g", s.Ended), "–", "–"}
		if s.RangP99 > 0 {
			row[4], row[5] = duration(s.RangP50), duration(s.RangP99)
		}
		p.Slots = append(p.Slots, row)
	}
	return p
}

// reasons say for which reasons sign-ins were refused or lost.
func (r Report) reasons() (lines []string) {
	for _, o := range outcomes {
		if why := r.why(o); why != "" {
			lines = append(lines, fmt.Sprintf("%s: %s.", o, why))
		}
	}
	return lines
}

func (r Report) verdict() string {
	if !r.Failed() {
		return "Nothing was lost, and no phone rang twice."
	}
	return fmt.Sprintf("%s lost, and %s.", plural(r.Outcomes[Lost], "request was", "requests were"),
		plural(r.SecondPushes, "second push", "second pushes"))
}

func (r Report) figures() []figure {
	up, down := r.RadioEach()
	s := r.Summary()
	all := []figure{
		{thousands(len(r.SignIns)), "sign-ins"},
		{r.percent(r.Outcomes[Granted]), "granted"},
	}
	for _, l := range r.latencies() {
		all = append(all, figure{l.shown(0.5), l.name + ", half of them"}, figure{l.shown(0.99), l.name + ", 99 of 100"})
	}
	return append(all,
		figure{thousands(int(up + down)), "bytes of MQTT for each"},
		figure{duration(time.Duration(s.BridgeCPU * 1e3)), "CPU of the bridge for each"},
	)
}

func (r Report) setupRows() [][2]string {
	s, c := r.Setup, r.Connecting
	rows := [][2]string{
		{"devices", thousands(s.Devices)},
		{"bridges", fmt.Sprintf("%d on %s", s.Bridges, s.Store)},
		{"people think", s.Thinking},
		{"deny, ignore", fmt.Sprintf("%.3g %%, %.3g %%", 100*s.Deny, 100*s.Ignore)},
		{"a phone rings for", s.Expiry.String()},
		{"the provider is asked every", s.Interval.String()},
		{"seed", fmt.Sprint(s.Seed)},
		{"enrolment of all", duration(c.Enrolling)},
		{"connecting all", fmt.Sprintf("%s, %s of CPU for each", duration(c.Took), duration(c.Each(s.Devices)))},
		{"memory of a device", fmt.Sprintf("%s kB", thousands(int(c.DeviceMemory/1000)))},
	}
	if s.Broker != "" {
		rows = append(rows, [2]string{"broker", s.Broker})
	}
	return rows
}
