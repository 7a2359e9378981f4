package link

import (
	"os/exec"
	"strings"
	"testing"
)

// The agent links this package, into a device with little room.
func TestArrows(t *testing.T) {
	forbidden := map[string]string{
		"github.com/mochi-mqtt": "the broker is the other end",
		"github.com/smallstep":  "the authority is the other end; its client alone is 20 MB",
		"go.step.sm":            "likewise",
		"github.com/luikyv":     "the provider is nowhere near a device",
		"database/sql":          "a link stores nothing",
		"modernc.org":           "likewise",
		"text/template":         "it keeps the linker from dropping unused methods",
		"html/template":         "likewise",
		"testing":               "tests stay in test files",
		"github.com/carillon-iot/carillon/bridge":  "agent and bridge meet as bytes on a topic",
		"github.com/carillon-iot/carillon/agent":   "a link does not know who uses it",
		"github.com/carillon-iot/carillon/schemas": "a link does not know what it carries",
	}
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 50 {
		t.Fatalf("go list names only %d packages", len(deps))
	}
	for _, dep := range deps {
		if dep == "github.com/carillon-iot/carillon/broker" {
			t.Errorf("depends on %s: the broker is the other end", dep)
		}
		for path, why := range forbidden {
			if dep == path || strings.HasPrefix(dep, path+"/") {
				t.Errorf("depends on %s: %s", dep, why)
			}
		}
	}
}
