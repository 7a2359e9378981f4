package metrics_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/operations.md explains every metric of a bridge, and no other.
func TestDocs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := make(map[string]bool)
	for _, row := range strings.Split(string(doc), "\n") {
		if cells := strings.Split(row, "|"); len(cells) == 5 && !strings.Contains(cells[1], "/") {
			for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
				explained["carillon_bridge_"+name[1]] = true
			}
		}
	}
	for name := range names(t) {
		if !explained[name] {
			t.Errorf("docs/operations.md does not explain %s", name)
		}
		delete(explained, name)
	}
	for name := range explained {
		t.Errorf("docs/operations.md explains %s, which is no metric", name)
	}
}

// names are the names of all metrics of a bridge.
func names(t *testing.T) map[string]bool {
	t.Helper()
	families, err := watched().Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]bool)
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "carillon_bridge_") {
			all[f.GetName()] = true
		}
	}
	return all
}
