package pki_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Everybody trusts the authority, and it knows nobody. What devices link counts
// megabytes: a client of the authority's own library is 22 MB, pki/enroll is 6.
func TestArrows(t *testing.T) {
	const root = "github.com/carillon-iot/carillon/"
	for _, c := range []struct {
		part     string
		links    []string // of Carillon, exactly
		onDevice bool
	}{
		{"pki", []string{"pki", "pki/mtls"}, false},
		{"pki/cmd/carillon-pki", []string{"pki", "pki/cmd/carillon-pki", "pki/enroll", "pki/mtls"}, false},
		{"pki/mtls", []string{"pki/mtls"}, true},
		{"pki/enroll", []string{"pki/enroll", "pki/mtls"}, true},
	} {
		out, err := exec.Command("go", "list", "-deps", "-f", "{{.Standard}} {{.ImportPath}}", root+c.part).Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		var links []string
		for line := range strings.Lines(string(out)) {
			standard, path, _ := strings.Cut(strings.TrimSpace(line), " ")
			ours, isOurs := strings.CutPrefix(path, root)
			switch {
			case isOurs:
				links = append(links, ours)
			case path == "testing":
				t.Errorf("%s links testing: it belongs in pki/mtls/mtlstest", c.part)
			case !c.onDevice:
			case standard == "false":
				t.Errorf("%s links %s: devices link it, and of other modules nothing", c.part, path)
			case path == "text/template" || path == "html/template":
				t.Errorf("%s links %s: it keeps the linker from dropping unused methods, and the agent grows by megabytes", c.part, path)
			}
		}
		if slices.Sort(links); !slices.Equal(links, c.links) {
			t.Errorf("%s links %q of Carillon, want exactly %q", c.part, links, c.links)
		}
	}
}
