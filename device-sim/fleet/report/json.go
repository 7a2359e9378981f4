package report

import (
	"strings"
	"time"
)

// A Summary is the report as one JSON object. Times are milliseconds, sizes
// bytes. Granted, denied, expired, refused, lost and open add up to sign_ins.
type Summary struct {
	Event string `json:"event"` // "summary"

	Devices      int            `json:"devices"`
	Bridges      int            `json:"bridges"`
	Store        string         `json:"store"`
	Rate         float64        `json:"rate"`
	Seed         uint64         `json:"seed"`
	SignIns      int            `json:"sign_ins"`
	Granted      int            `json:"granted"`
	Denied       int            `json:"denied"`
	Expired      int            `json:"expired"`
	Refused      int            `json:"refused"`
	Codes        map[string]int `json:"codes"` // of refused
	Lost         int            `json:"lost"`
	LostCodes    map[string]int `json:"lost_codes"` // unsent: never left the device; unknown: left it, and had no answer
	Open         int            `json:"open"`
	SecondPushes int            `json:"second_pushes"`
	Duplicates   int            `json:"duplicates"`
	MS           int64          `json:"ms"`
	Kills        []KillSummary  `json:"kills"`

	P50      float64 `json:"p50_ms"` // tap to ringing
	P90      float64 `json:"p90_ms"`
	P99      float64 `json:"p99_ms"`
	Max      float64 `json:"max_ms"`
	TokenP50 float64 `json:"token_p50_ms"` // approval to token
	TokenP90 float64 `json:"token_p90_ms"`
	TokenP99 float64 `json:"token_p99_ms"`
	TokenMax float64 `json:"token_max_ms"`

	Bytes      float64 `json:"bytes_per_sign_in"` // MQTT, both ways
	BytesUp    float64 `json:"bytes_up_per_sign_in"`
	BytesDown  float64 `json:"bytes_down_per_sign_in"`
	TCPBytes   float64 `json:"tls_bytes_per_sign_in"`
	Reconnects int     `json:"reconnects"`
	Starved    int     `json:"starved"`

	BridgeCPU   float64 `json:"bridge_cpu_us_per_sign_in"` // of all bridges
	BrokerCPU   float64 `json:"broker_cpu_us_per_sign_in"`
	ProviderCPU float64 `json:"provider_cpu_us_per_sign_in"`
	DevicesCPU  float64 `json:"devices_cpu_us_per_sign_in"`
	DatabaseCPU float64 `json:"database_cpu_us_per_sign_in"` // of PostgreSQL, where it is ours
	BridgeRSS   int64   `json:"bridge_rss_bytes"`            // the most that one bridge held
	BrokerRSS   int64   `json:"broker_rss_bytes"`
	ProviderRSS int64   `json:"provider_rss_bytes"`
	DevicesRSS  int64   `json:"devices_rss_bytes"`
	DatabaseRSS int64   `json:"database_rss_bytes"`

	ConnectMS    int64 `json:"connect_ms"` // all devices, before the first sign-in
	DeviceMemory int64 `json:"device_bytes"`
}

// A KillSummary is a Kill as JSON.
type KillSummary struct {
	Part   string `json:"part"`
	AtMS   int64  `json:"at_ms"`
	DownMS int64  `json:"down_ms"` // 0 if it was not back before the end
}

// Summary returns the report for scripts.
func (r Report) Summary() Summary {
	s := Summary{
		Event: "summary", Devices: r.Setup.Devices, Bridges: r.Setup.Bridges, Store: r.Setup.Store, Rate: r.Setup.Rate, Seed: r.Setup.Seed,
		SignIns: len(r.SignIns), Granted: r.Outcomes[Granted], Denied: r.Outcomes[Denied], Expired: r.Outcomes[Expired],
		Refused: r.Outcomes[Refused], Codes: r.Codes[Refused], Lost: r.Outcomes[Lost], LostCodes: r.Codes[Lost], Open: r.Outcomes[Open],
		SecondPushes: r.SecondPushes, Duplicates: r.Duplicates, MS: r.Took.Milliseconds(), Kills: []KillSummary{},
		P50: ms(r.Rang.At(0.5)), P90: ms(r.Rang.At(0.9)), P99: ms(r.Rang.At(0.99)), Max: ms(r.Rang.At(1)),
		TokenP50: ms(r.Token.At(0.5)), TokenP90: ms(r.Token.At(0.9)), TokenP99: ms(r.Token.At(0.99)), TokenMax: ms(r.Token.At(1)),
		Reconnects: r.Reconnects, Starved: r.Starved,
		ConnectMS: r.Connecting.Took.Milliseconds(), DeviceMemory: r.Connecting.DeviceMemory,
	}
	s.BytesUp, s.BytesDown = r.RadioEach()
	s.Bytes = s.BytesUp + s.BytesDown
	up, down := r.CarrierEach()
	s.TCPBytes = up + down
	for _, k := range r.Kills {
		s.Kills = append(s.Kills, KillSummary{k.Part, k.At.Milliseconds(), k.Down.Milliseconds()})
	}
	for _, p := range r.Parts {
		s.add(p.Name, float64(r.CPUEach(p))/1e3, p.Peak)
	}
	return s
}

// add takes in what a part has cost. There may be several bridges.
func (s *Summary) add(name string, us float64, peak int64) {
	cpu, rss := &s.DevicesCPU, &s.DevicesRSS
	switch {
	case strings.HasPrefix(name, "bridge"):
		cpu, rss = &s.BridgeCPU, &s.BridgeRSS
	case name == "broker":
		cpu, rss = &s.BrokerCPU, &s.BrokerRSS
	case name == "provider":
		cpu, rss = &s.ProviderCPU, &s.ProviderRSS
	case name == "database":
		cpu, rss = &s.DatabaseCPU, &s.DatabaseRSS
	}
	*cpu += us
	*rss = max(*rss, peak)
}

// ms rounds to a hundredth of a millisecond.
func ms(d time.Duration) float64 { return float64(d.Round(10*time.Microsecond)) / 1e6 }
