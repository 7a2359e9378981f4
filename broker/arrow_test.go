package broker

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const ours = "github.com/carillon-iot/carillon/"

// The broker carries bytes: it must not be able to look into them, and what it
// is linked with is what its operator has to trust.
func TestArrows(t *testing.T) {
	wantNone(t, ours+"broker", map[string]string{
		ours + "agent":                 "a broker does not know its clients",
		ours + "bridge":                "likewise",
		ours + "device-sim":            "imported by nobody",
		ours + "pki/enroll":            "a broker is given its certificate; the command obtains it",
		"github.com/eclipse":           "a client is the other end",
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
	})
}

// The agent links broker/link, into a device with little room.
func TestArrowsOfLink(t *testing.T) {
	wantNone(t, ours+"broker/link", map[string]string{
		ours + "agent":          "a link does not know who uses it",
		ours + "bridge":         "agent and bridge meet as bytes on a topic",
		ours + "broker":         "the broker is the other end",
		ours + "schemas":        "a link does not know what it carries",
		ours + "pki":            "it is given connections, and does not know who they are",
		"github.com/mochi-mqtt": "the broker is the other end",
		"github.com/smallstep":  "the authority is the other end; its client alone is 20 MB",
		"go.step.sm":            "likewise",
		"github.com/luikyv":     "the provider is nowhere near a device",
		"database/sql":          "a link stores nothing",
		"modernc.org":           "likewise",
		"text/template":         "it keeps the linker from dropping unused methods",
		"html/template":         "likewise",
		"testing":               "tests stay in test files",
	})
}

// wantNone asserts that a package links none of the forbidden ones, of which
// each stands for all that lies below it too.
func wantNone(t *testing.T, name string, forbidden map[string]string) {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", name).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "crypto/tls") || !slices.Contains(deps, name) {
		t.Fatalf("go list does not name what %s does import", name)
	}
	for _, dep := range deps {
		for path, why := range forbidden {
			if dep != name && (dep == path || strings.HasPrefix(dep, path+"/")) {
				t.Errorf("%s links %s: %s", name, dep, why)
			}
		}
	}
}
