package fleet

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseKills(t *testing.T) {
	got, err := ParseKills("provider=11s, bridge=5s,bridges=5s,bridge2=1m,broker=9.5s,bridge=0s")
	want := []Kill{
		{"bridge", 1, 0}, {"bridge", 1, 5 * time.Second}, {"bridge", 0, 5 * time.Second},
		{"broker", 0, 9500 * time.Millisecond}, {"provider", 0, 11 * time.Second}, {"bridge", 2, time.Minute},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, error %v, want %v", got, err, want)
	}
	for _, k := range want {
		again, err := ParseKills(k.String())
		if err != nil || !slices.Equal(again, []Kill{k}) {
			t.Errorf("%v as text is %q", k, k.String())
		}
	}
	if none, err := ParseKills(" "); err != nil || none != nil {
		t.Errorf("nothing is %v, error %v", none, err)
	}
}

func TestParseKillsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"broker":        `"broker" is not PART=TIME`,
		"broker=9s,":    `"" is not PART=TIME`,
		"broker=soon":   `"soon" is not a time`,
		"broker=-1s":    `"-1s" is not a time`,
		"phone=1s":      `no part is called "phone"`,
		"broker2=1s":    `no part is called "broker2"`,
		"bridge0=1s":    `no part is called "bridge0"`,
		"bridge+1=1s":   `no part is called "bridge+1"`,
		"bridge01=1s":   `no part is called "bridge01"`,
		"bridge-1=1s":   `no part is called "bridge-1"`,
		"bridge 2=1s":   `no part is called "bridge 2"`,
		"bridge=1s=2s":  `"1s=2s" is not a time`,
		"=1s":           `no part is called ""`,
		"BRIDGE=1s":     `no part is called "BRIDGE"`,
		"provider=9999": `"9999" is not a time`,
	} {
		if got, err := ParseKills(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %v, error %v, want %q", text, got, err, want)
		}
	}
}

func TestPossible(t *testing.T) {
	for _, c := range []struct {
		kill string
		own  bool
		ok   bool
	}{
		{"bridge2=1s", true, true}, {"bridge3=1s", true, false}, {"bridges=1s", false, true},
		{"broker=1s", true, true}, {"broker=1s", false, false}, {"provider=1s", false, true},
	} {
		kills, err := ParseKills(c.kill)
		if err != nil {
			t.Fatal(err)
		}
		if err := kills[0].possible(2, c.own); (err == nil) != c.ok {
			t.Errorf("%s with a broker of its own %v: %v", c.kill, c.own, err)
		}
	}
}
