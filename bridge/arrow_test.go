package bridge

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const ours = "github.com/carillon-iot/carillon/"

// What the bridge must not link, and why: a path stands for itself and all that
// lies below it.
func TestArrows(t *testing.T) {
	wantNone(t, []string{".", "./store", "./policy"}, map[string]string{
		ours + "agent":                 "agent and bridge meet as bytes on a topic",
		ours + "device-sim":            "the world imports the bridge, and nobody imports the world",
		ours + "broker":                "the bridge publishes through an interface; only its command dials",
		ours + "pki/enroll":            "the command fetches revocation lists, the bridge does not",
		"github.com/mochi-mqtt":        "the broker is another program",
		"github.com/eclipse":           "the bridge publishes through an interface",
		"github.com/smallstep":         "the authority is another program",
		"github.com/luikyv":            "the provider is another program",
		"go.opentelemetry.io/otel/sdk": "the bridge makes spans; its command exports them",
		"google.golang.org/grpc":       "likewise",
		"github.com/peterbourgon/ff":   "flags are read in cmd",
		"github.com/pelletier/go-toml": "likewise",
		"testing":                      "tests stay in test files",
	})
}

// The command dials a broker, and is still no broker, authority, provider or
// device.
func TestArrowsOfTheCommand(t *testing.T) {
	wantNone(t, []string{"./cmd/carillon-bridge"}, map[string]string{
		ours + "agent":             "agent and bridge meet as bytes on a topic",
		ours + "device-sim":        "nobody imports the world",
		"github.com/mochi-mqtt":    "the broker is another program",
		"github.com/smallstep":     "the authority is another program",
		"github.com/luikyv":        "the provider is another program",
		ours + "broker/brokertest": "tests stay in test files",
		"testing":                  "likewise",
	})
}

func wantNone(t *testing.T, packages []string, forbidden map[string]string) {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-deps"}, packages...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, ours+"schemas") {
		t.Fatal("go list does not name what the bridge does import")
	}
	for _, dep := range deps {
		if dep == ours+"broker" || dep == ours+"pki" {
			t.Errorf("%q links %s: it is another program", packages, dep)
		}
		for path, why := range forbidden {
			if dep == path || strings.HasPrefix(dep, path+"/") {
				t.Errorf("%q links %s: %s", packages, dep, why)
			}
		}
	}
}
