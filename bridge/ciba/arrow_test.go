package ciba_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The package is for everybody's use, so importing it must cost an importer
// nothing but go-jose: no part of Carillon, and no other module. cibatest, its
// list of misbehaviours, and inspect are held to the same.
func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".", "./cibatest", "./cibatest/bare", "./cibatest/hostile", "./inspect").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 3 {
		t.Fatalf("go list found only %q", deps)
	}
	for _, dep := range deps {
		_, below, _ := strings.Cut(dep, "/bridge/ciba")
		own := strings.HasPrefix(dep, "github.com/carillon-iot/") && slices.Contains([]string{"", "/cibatest", "/cibatest/bare", "/cibatest/hostile", "/profile", "/inspect"}, below)
		if !own && !strings.HasPrefix(dep, "github.com/go-jose/go-jose/v4") {
			t.Errorf("%s is imported; only the standard library and go-jose may be", dep)
		}
	}
}
