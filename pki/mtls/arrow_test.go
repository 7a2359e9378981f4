package mtls_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The agent links this package, on devices that count megabytes.
func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	const self = "github.com/carillon-iot/carillon/pki/mtls"
	for _, dep := range strings.Fields(string(out)) {
		if dep != self {
			t.Errorf("%s is linked: pki/mtls is part of the agent and imports the standard library only", dep)
		}
	}
	if !strings.Contains(string(out), self) {
		t.Errorf("go list did not even name this package: %q", out)
	}
	out, err = exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, dep := range strings.Fields(string(out)) {
		switch dep {
		case "testing":
			t.Error("testing is linked: it belongs in pki/mtls/mtlstest")
		case "text/template", "html/template":
			t.Errorf("%s is linked: it keeps the linker from dropping unused methods, and the agent grows by megabytes", dep)
		}
	}
}
