package broker

import (
	"os/exec"
	"strings"
	"testing"
)

// The broker carries bytes: it must not be able to look into them, and what it
// is linked with is what its operator has to trust.
func TestArrows(t *testing.T) {
	const ours = "github.com/carillon-iot/carillon/"
	forbidden := map[string]string{
		ours + "agent":                 "a broker does not know its clients",
		ours + "bridge":                "likewise",
		ours + "device-sim":            "imported by nobody",
		ours + "pki/enroll":            "a broker is given its certificate; the command obtains it",
		"github.com/smallstep":         "an authority is another program",
		"github.com/dgraph-io":         "the broker stores nothing",
		"github.com/cockroachdb":       "likewise",
		"github.com/redis":             "likewise",
		"go.etcd.io/bbolt":             "likewise",
		"modernc.org":                  "likewise",
		"github.com/jackc":             "likewise",
		"testing":                      "tests stay in test files",
		"github.com/peterbourgon/ff":   "flags are for the command",
		"github.com/pelletier/go-toml": "likewise",
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
		for path, why := range forbidden {
			if dep == path || strings.HasPrefix(dep, path+"/") {
				t.Errorf("depends on %s: %s", dep, why)
			}
		}
	}
}
