package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The parts that can be killed.
const (
	partBridge   = "bridge"
	partBroker   = "broker"
	partProvider = "provider"
)

// A Kill is a kill -9 of a part at a moment of the load.
type Kill struct {
	Part   string // "bridge", "broker" or "provider"
	Number int    // of bridges: which, from 1; 0 is all of them
	At     time.Duration
}

// String returns what ParseKills reads.
func (k Kill) String() string { return k.name() + "=" + k.At.String() }

// name is the part's, as reports show it.
func (k Kill) name() string {
	switch {
	case k.Part != partBridge || k.Number == 1:
		return k.Part
	case k.Number == 0:
		return "bridges"
	}
	return k.Part + strconv.Itoa(k.Number)
}

// ParseKills reads a list such as "bridge=5s,broker=9s,bridge=15s". A part is
// bridge (the first), bridge2 and so on, bridges (all of them), broker or
// provider, and may be named several times. The result is in order of time.
func ParseKills(text string) ([]Kill, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var kills []Kill
	for field := range strings.SplitSeq(text, ",") {
		part, when, ok := strings.Cut(strings.TrimSpace(field), "=")
		if !ok {
			return nil, fmt.Errorf("%q is not PART=TIME, such as broker=9s", field)
		}
		k, err := parsePart(part)
		if err != nil {
			return nil, err
		}
		if k.At, err = time.ParseDuration(when); err != nil || k.At < 0 {
			return nil, fmt.Errorf("%q: %q is not a time after the first sign-in, such as 9s", field, when)
		}
		kills = append(kills, k)
	}
	slices.SortStableFunc(kills, func(a, b Kill) int { return cmp.Compare(a.At, b.At) })
	return kills, nil
}

func parsePart(name string) (Kill, error) {
	switch name {
	case partBroker, partProvider:
		return Kill{Part: name}, nil
	case partBridge:
		return Kill{Part: partBridge, Number: 1}, nil
	case "bridges":
		return Kill{Part: partBridge}, nil
	}
	if digits, ok := strings.CutPrefix(name, partBridge); ok {
		if n, err := strconv.Atoi(digits); err == nil && n > 0 && digits[0] != '+' && digits[0] != '0' {
			return Kill{Part: partBridge, Number: n}, nil
		}
	}
	return Kill{}, fmt.Errorf("no part is called %q; there are bridge, bridge2 and so on, bridges, broker and provider", name)
}

// possible reports why a kill cannot be done in a fleet.
func (k Kill) possible(bridges int, ownBroker bool) error {
	switch {
	case k.Part == partBridge && k.Number > bridges:
		return fmt.Errorf("%v: there are %d bridges", k, bridges)
	case k.Part == partBroker && !ownBroker:
		return fmt.Errorf("%v: the broker is somebody else's", k)
	}
	return nil
}
