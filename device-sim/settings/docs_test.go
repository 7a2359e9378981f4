package settings_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/device-sim/settings"
)

// The table of scopes in docs/settings-api.md is what the code does, and both
// descriptions state the same limits.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/settings-api.md")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := os.ReadFile("../../schemas/settings-api.yaml")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z:]+)` \\| (.*) \\|$")
	code := regexp.MustCompile("`(Vehicle[A-Za-z.]+)`")
	scopes := 0
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		var branches []string
		for _, b := range code.FindAllStringSubmatch(m[2], -1) {
			branches = append(branches, b[1])
		}
		if len(branches) == 0 {
			continue
		}
		scopes++
		if got := settings.Branches(m[1]); !slices.Equal(got, branches) {
			t.Errorf("scope %s opens %q, the page says %q", m[1], got, branches)
		}
	}
	if scopes != 5 {
		t.Errorf("the page has %d scopes", scopes)
	}
	for _, limit := range []string{"256 paths", "160 bytes", "256 bytes", "64 KiB", "1 to 64 bytes", settings.Path} {
		if !strings.Contains(strings.ReplaceAll(string(page), "\n", " "), limit) {
			t.Errorf("the page does not say %q", limit)
		}
	}
	for _, limit := range []string{"maxProperties: 256", "maxLength: 160", "maxLength: 256", "maxLength: 64", settings.Path + ":"} {
		if !strings.Contains(string(schema), limit) {
			t.Errorf("the schema does not say %q", limit)
		}
	}
}
