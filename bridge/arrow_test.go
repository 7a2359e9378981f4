package bridge

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestArrows holds the arrows that lead from the bridge: whom it may import.
func TestArrows(t *testing.T) {
	const module = "github.com/carillon-iot/carillon/"
	forbidden := map[string]string{
		module + "agent":              "agent and bridge meet as bytes on a topic",
		module + "device-sim":         "the world imports the bridge, and nobody imports the world",
		module + "broker":             "the bridge publishes through an interface; only its command dials",
		module + "pki":                "the authority is another program",
		module + "pki/enroll":         "the command fetches revocation lists, the bridge does not",
		"github.com/mochi-mqtt/":      "the broker is another program",
		"github.com/eclipse/paho":     "the bridge publishes through an interface",
		"github.com/smallstep/":       "the authority is another program",
		"github.com/luikyv/":          "the provider is another program",
		"github.com/peterbourgon/ff/": "flags are read in cmd",
		"testing":                     "test helpers stay in tests",
	}
	out, err := exec.Command("go", "list", "-deps", ".", "./store", "./policy").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"schemas") {
		t.Fatal("go list does not name what the bridge does import")
	}
	for _, dep := range deps {
		for path, why := range forbidden {
			if dep == strings.TrimSuffix(path, "/") || strings.HasSuffix(path, "/") && strings.HasPrefix(dep, path) {
				t.Errorf("imports %s: %s", dep, why)
			}
		}
	}
}
