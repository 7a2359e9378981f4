package enroll_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The agent links this package, on devices that count megabytes. A client of
// the authority's own library is 22 MB, this one is 6.
func TestArrows(t *testing.T) {
	const root = "github.com/carillon-iot/carillon/"
	allowed := map[string]bool{root + "pki/enroll": true, root + "pki/mtls": true}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) != len(allowed) {
		t.Errorf("links %q, want exactly %v", deps, allowed)
	}
	for _, dep := range deps {
		if !allowed[dep] {
			t.Errorf("%s is linked: pki/enroll is part of the agent and imports the standard library and pki/mtls only", dep)
		}
	}
	out, err = exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, dep := range strings.Fields(string(out)) {
		switch dep {
		case "testing":
			t.Error("testing is linked: it belongs in tests")
		case "text/template", "html/template":
			t.Errorf("%s is linked: it keeps the linker from dropping unused methods, and the agent grows by megabytes", dep)
		}
	}
}
