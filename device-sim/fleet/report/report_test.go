package report_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/device-sim/fleet/report"
)

const second = time.Second

// input is a load of which everything is known: of 1000 sign-ins, one a
// hundredth of a second, each rings after 1 to 1000 ms and is granted a second
// after its approval, but for a few.
func input() report.Input {
	in := report.Input{
		Setup: report.Setup{
			Devices: 500, Bridges: 2, Store: "sqlite", Rate: 100, Planned: 1000, Thinking: "exp:20s",
			Expiry: 2 * time.Minute, Interval: 5 * second, Seed: 7, Began: time.Unix(1767225600, 0),
		},
		Connecting: report.Connecting{Took: 3 * second, CPU: map[string]time.Duration{"broker": second}, DeviceMemory: 99_000},
		Kills:      []report.Kill{{Part: "broker", At: 9 * second, Down: second / 10}, {Part: "bridge2", At: 5 * second, Down: second / 5}},
		Parts: []report.Part{
			{Name: "devices", CPU: 4 * second, Peak: 100_000_000}, {Name: "broker", CPU: 2 * second, Peak: 50_000_000},
			{Name: "provider", CPU: second, Peak: 40_000_000},
			{Name: "bridge", CPU: second, Peak: 30_000_000}, {Name: "bridge2", CPU: 2 * second, Peak: 60_000_000},
		},
		Radio: report.Traffic{Up: 500_000, Down: 1_000_000}, Carrier: report.Traffic{Up: 600_000, Down: 1_100_000},
		Reconnects: 500,
	}
	for i := range 1000 {
		due := time.Duration(i) * 10 * time.Millisecond
		rang := due + time.Duration(i+1)*time.Millisecond
		in.SignIns = append(in.SignIns, report.SignIn{
			Due: due, Rang: rang, Approved: rang + second, Ended: rang + 2*second,
			Outcome: report.Granted, Pushes: 1, Redeemed: 1, Ends: 1,
		})
	}
	end := func(i int, o report.Outcome, code string) {
		s := &in.SignIns[i]
		s.Outcome, s.Code, s.Approved, s.Redeemed = o, code, 0, 0
	}
	end(0, report.Denied, "access_denied")
	end(1, report.Expired, "expired")
	end(2, report.Refused, "interrupted")
	end(3, report.Refused, "interrupted")
	end(4, report.Refused, "provider_unavailable")
	return in
}

func TestSummary(t *testing.T) {
	in := input()
	in.SignIns[5].Outcome, in.SignIns[5].Code, in.SignIns[5].Rang, in.SignIns[5].Ended = report.Lost, "unsent", 0, 0
	in.SignIns[6].Pushes = 3
	in.Strays = 1
	in.SignIns[7].Ends = 2
	in.SignIns[8].Redeemed = 2
	r := report.New(in)
	s := r.Summary()
	for name, c := range map[string][2]float64{
		"sign-ins":      {float64(s.SignIns), 1000},
		"granted":       {float64(s.Granted), 994},
		"denied":        {float64(s.Denied), 1},
		"expired":       {float64(s.Expired), 1},
		"refused":       {float64(s.Refused), 3},
		"lost":          {float64(s.Lost), 1},
		"open":          {float64(s.Open), 0},
		"interrupted":   {float64(s.Codes["interrupted"]), 2},
		"unsent":        {float64(s.LostCodes["unsent"]), 1},
		"second pushes": {float64(s.SecondPushes), 2},
		"duplicates":    {float64(s.Duplicates), 2},
		"p50":           {s.P50, 500},
		"p90":           {s.P90, 900},
		"p99":           {s.P99, 990},
		"longest":       {s.Max, 1000},
		"token p50":     {s.TokenP50, 1000},
		"token p99":     {s.TokenP99, 1000},
		"took":          {float64(s.MS), 9990 + 1000 + 2000},
		"bytes":         {s.Bytes, 1500},
		"bytes up":      {s.BytesUp, 500},
		"with TLS":      {s.TCPBytes, 1700},
		"bridges' CPU":  {s.BridgeCPU, 3000},
		"broker's CPU":  {s.BrokerCPU, 2000},
		"devices' CPU":  {s.DevicesCPU, 4000},
		"bridge's peak": {float64(s.BridgeRSS), 60_000_000},
	} {
		if math.Abs(c[0]-c[1]) > 0.005*c[1] { // to the digits of a histogram
			t.Errorf("%s: %v, want %v", name, c[0], c[1])
		}
	}
	if s.Granted+s.Denied+s.Expired+s.Refused+s.Lost+s.Open != s.SignIns {
		t.Errorf("the ends of %+v do not add up", s)
	}
	if len(s.Kills) != 2 || s.Kills[0] != (report.KillSummary{Part: "bridge2", AtMS: 5000, DownMS: 200}) {
		t.Errorf("kills %+v", s.Kills)
	}
}

// What scripts read is there under these names.
func TestSummaryNames(t *testing.T) {
	data, err := json.Marshal(report.New(input()).Summary())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"sign_ins", "granted", "denied", "expired", "refused", "lost", "second_pushes", "duplicates", "p50_ms", "p99_ms", "token_p50_ms",
		"token_p99_ms", "bytes_per_sign_in", "bridge_cpu_us_per_sign_in", "bridge_rss_bytes", "broker_cpu_us_per_sign_in", "seed", "rate", "ms",
	} {
		if _, ok := got[name].(float64); !ok {
			t.Errorf("%s is %v, want a number", name, got[name])
		}
	}
	if got["event"] != "summary" {
		t.Errorf("event is %v", got["event"])
	}
}

func TestFailed(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*report.Input)
		want bool
	}{
		"good":        {func(*report.Input) {}, false},
		"lost":        {func(in *report.Input) { in.SignIns[9].Outcome = report.Lost }, true},
		"second push": {func(in *report.Input) { in.SignIns[9].Pushes = 2 }, true},
		"stray push":  {func(in *report.Input) { in.Strays = 1 }, true},
		"open":        {func(in *report.Input) { in.SignIns[9].Outcome = report.Open }, false},
		"duplicate":   {func(in *report.Input) { in.SignIns[9].Ends = 2 }, false},
	} {
		in := input()
		c.edit(&in)
		if got := report.New(in).Failed(); got != c.want {
			t.Errorf("%s: failed is %v", name, got)
		}
	}
}

func TestText(t *testing.T) {
	in := input()
	in.Starved = 12
	in.SignIns[9].Outcome, in.SignIns[9].Code = report.Lost, "unknown"
	in.Kills = append(in.Kills, report.Kill{Part: "provider", At: 11 * second})
	var b bytes.Buffer
	if err := report.New(in).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"1000 sign-ins of 500 devices in 13.0 s: 100 a second, 2 bridges on sqlite\n",
		"kill -9 of the bridge2 at 5.0 s, back after 200 ms\nkill -9 of the broker at 9.0 s",
		"kill -9 of the provider at 11.0 s, not back before the end\n",
		"12 drivers found no idle device",
		"\ngranted         994   99.40 %\n",
		"\nlost              1    0.10 %   1 unknown\n",
		"\nrefused           3    0.30 %   2 interrupted, 1 provider unavailable\n",
		"\ntap to ringing",
		"500 bytes up and 1000 down; 600 and 1100 with TLS, 500 new connections included.",
		"\nbridge2     2.00 ms       2.00 s    60 MB\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, b.String())
		}
	}
}

// A load of which nothing came is reported, too.
func TestNothing(t *testing.T) {
	for name, in := range map[string]report.Input{
		"no sign-in":   {},
		"none is over": {SignIns: make([]report.SignIn, 3), Interrupted: true},
		"none rang":    {SignIns: []report.SignIn{{Due: second, Ended: 2 * second, Outcome: report.Lost, Ends: 1}}},
		"at once":      {SignIns: []report.SignIn{{Rang: 1, Approved: 1, Ended: 1, Outcome: report.Granted, Pushes: 1}}},
	} {
		r := report.New(in)
		var text, page bytes.Buffer
		if err := r.WriteText(&text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := r.WriteHTML(&page); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		data, err := json.Marshal(r.Summary()) // fails for what is no number
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for what, out := range map[string][]byte{"text": text.Bytes(), "page": page.Bytes(), "JSON": data} {
			for _, bad := range []string{"NaN", "Inf", "%!"} {
				if bytes.Contains(out, []byte(bad)) {
					t.Errorf("%s: the %s holds %s:\n%s", name, what, bad, out)
				}
			}
		}
	}
}
