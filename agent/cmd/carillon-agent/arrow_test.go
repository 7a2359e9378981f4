package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the agent must not link, and why.
func TestArrows(t *testing.T) {
	forbidden := map[string]string{
		"github.com/mochi-mqtt": "the broker is the other end",
		"github.com/smallstep":  "the authority is the other end; its client alone is 20 MB",
		"go.step.sm":            "likewise",
		"github.com/luikyv":     "the provider is nowhere near a device",
		"github.com/go-jose":    "a device trusts COSE and certificates; tokens are opaque to it",
		"database/sql":          "a device keeps a few small files",
		"modernc.org":           "likewise",
		"github.com/pelletier":  "a whole TOML parser is 270 kB for a list of flags",
		"text/template":         "it keeps the linker from dropping unused methods",
		"html/template":         "likewise",
		"testing":               "tests stay in test files",
		"github.com/carillon-iot/carillon/bridge":          "agent and bridge meet as bytes on a topic",
		"github.com/carillon-iot/carillon/device-sim":      "nobody imports the simulator",
		"github.com/carillon-iot/carillon/agent/agenttest": "tests stay in test files",
	}
	alone := map[string]bool{"github.com/carillon-iot/carillon/broker": true, "github.com/carillon-iot/carillon/pki": true}
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 100 {
		t.Fatalf("go list names only %d packages", len(deps))
	}
	for _, dep := range deps {
		if alone[dep] {
			t.Errorf("depends on %s: only what lies below it is for devices", dep)
		}
		for path, why := range forbidden {
			if dep == path || strings.HasPrefix(dep, path+"/") {
				t.Errorf("depends on %s: %s", dep, why)
			}
		}
	}
}

// maxBinary is what the agent may take of a device's storage, in bytes.
const maxBinary = 8_000_000

// The flags with which the agent is built for devices: HTTP/2 is left out
// because nothing that the agent talks to needs it, and functions are not
// inlined because storage is dearer than time to a program that waits.
var buildFlags = []string{"-trimpath", "-tags", "nethttpomithttp2", "-gcflags=all=-l", "-ldflags", "-s -w"}

func TestBinaryIsSmall(t *testing.T) {
	name := filepath.Join(t.TempDir(), "carillon-agent")
	cmd := exec.Command("go", append(append([]string{"build"}, buildFlags...), "-o", name, ".")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64") // the largest of the three
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > maxBinary {
		t.Errorf("%d bytes, limit %d", info.Size(), maxBinary)
	}
}
