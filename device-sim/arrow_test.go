package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The world is made of all parts and is no part of any: what cars, bridges and
// brokers link must not depend on a simulation, and neither must their tests.
func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-test", "-f", `{{.ImportPath}} {{join .Imports " "}} {{join .XTestImports " "}}`,
		"github.com/carillon-iot/carillon/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		who := strings.TrimPrefix(fields[0], "github.com/carillon-iot/carillon/")
		if strings.HasPrefix(who, "device-sim") {
			seen++
			continue
		}
		for _, path := range fields[1:] {
			if strings.HasPrefix(path, "github.com/carillon-iot/carillon/device-sim") {
				t.Errorf("%s imports %s", who, path)
			}
		}
	}
	if seen == 0 {
		t.Error("go list shows no package of device-sim")
	}
}
