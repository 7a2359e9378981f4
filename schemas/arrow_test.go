package schemas_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Both ends link this package, and one of them is a device that counts
// megabytes; a stranger who reads it should have little to read.
func TestArrows(t *testing.T) {
	allowed := map[string]string{
		"github.com/carillon-iot/carillon/schemas": "itself",
		"github.com/fxamacker/cbor/v2":             "CBOR",
		"github.com/x448/float16":                  "of cbor",
		"github.com/veraison/go-cose":              "COSE_Sign1",
	}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{.Standard}} {{.ImportPath}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		standard, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case standard == "false":
			if _, ok := allowed[path]; !ok {
				t.Errorf("%s is linked: the wire depends on the standard library, cbor and go-cose alone, for every device carries it", path)
			}
			delete(allowed, path)
		case path == "testing":
			t.Errorf("%s is linked: it belongs in tests", path)
		case path == "net/http":
			t.Errorf("%s is linked: the wire is MQTT, and knows no transport at all", path)
		case path == "text/template" || path == "html/template":
			t.Errorf("%s is linked: it keeps the linker from dropping unused methods, and the agent grows by megabytes", path)
		}
	}
	for path, what := range allowed {
		t.Errorf("%s (%s) is not linked any more: drop it from this list", path, what)
	}
}
