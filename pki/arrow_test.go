package pki_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Everybody trusts the authority, and it knows nobody: only what obtains and
// checks certificates is below it.
func TestArrows(t *testing.T) {
	const root = "github.com/carillon-iot/carillon/"
	allowed := map[string]bool{root + "pki": true, root + "pki/mtls": true, root + "pki/enroll": true, root + "pki/cmd/carillon-pki": true}
	out, err := exec.Command("go", "list", "-deps", ".", "./cmd/carillon-pki").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, dep := range strings.Fields(string(out)) {
		switch {
		case allowed[dep]:
			delete(allowed, dep)
		case strings.HasPrefix(dep, root):
			t.Errorf("%s is linked: the authority imports no other part of Carillon", dep)
		case dep == "testing":
			t.Error("testing is linked: it belongs in pki/mtls/mtlstest")
		}
	}
	if len(allowed) > 0 {
		t.Errorf("go list does not name %v", allowed)
	}
}
