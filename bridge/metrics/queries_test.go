package metrics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const docs = "../../docs/"

// A rule of alerts.yml.
type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	text, err := os.ReadFile(docs + "alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 20 {
		t.Fatalf("found only %d rules", len(all))
	}
	return all
}

// panels returns the queries of the dashboard by the titles of their panels.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(docs + "grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID          int
			Type, Title string
			Targets     []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Type, Query string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	all, ids := make(map[string][]string), make(map[int]bool)
	for _, p := range board.Panels {
		if ids[p.ID] || all[p.Title] != nil {
			t.Errorf("the panel %q is there twice, or its id", p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], target.Expr)
		}
		if p.Type != "row" && len(all[p.Title]) == 0 {
			t.Errorf("the panel %q asks nothing", p.Title)
		}
	}
	for _, v := range board.Templating.List {
		if v.Type == "query" {
			all["variables"] = append(all["variables"], v.Query)
		}
	}
	return all
}

// Alerts and dashboard ask for metrics, labels and values that exist.
func TestQueries(t *testing.T) {
	exist := labels(t)
	check := func(where, query string) {
		t.Helper()
		for _, found := range selector.FindAllStringSubmatch(query, -1) {
			if problem := exist.problem(found[1], found[2]); problem != "" {
				t.Errorf("%s: %s", where, problem)
			}
		}
	}
	for _, r := range rules(t) {
		check(r.Alert, r.Expr)
	}
	for title, queries := range panels(t) {
		for _, q := range queries {
			check("panel "+title, q)
		}
	}
	// The check itself.
	for _, wrong := range []string{
		"rate(carillon_bridge_request_total[5m])", `carillon_bridge_requests_total{results="granted"}`, `carillon_bridge_requests_total{outcome="grant"}`,
		`carillon_bridge_requests_total{outcome=~"granted|refused"}`, "carillon_bridge_requests_total_bucket",
	} {
		found := selector.FindStringSubmatch(wrong)
		if exist.problem(found[1], found[2]) == "" {
			t.Errorf("%s is taken for good", wrong)
		}
	}
}

// selector finds metrics of a bridge in a query, and what stands in braces after
// them.
var (
	selector = regexp.MustCompile(`\b(carillon_bridge_[a-z_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
)

// labelled are the values of each label, by the name of the metric.
type labelled map[string]map[string][]string

func labels(t *testing.T) labelled {
	t.Helper()
	families, err := watched().Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(labelled)
	for _, f := range families {
		values := make(map[string][]string)
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				values[l.GetName()] = append(values[l.GetName()], l.GetValue())
			}
		}
		all[f.GetName()] = values
		if f.GetType().String() == "HISTOGRAM" {
			for _, end := range []string{"_bucket", "_sum", "_count"} {
				all[f.GetName()+end] = values
			}
		}
	}
	return all
}

// problem says what is wrong with a metric and its matchers; "" for nothing.
func (l labelled) problem(name, matchers string) string {
	values, ok := l[name]
	if !ok {
		return fmt.Sprintf("there is no metric %s", name)
	}
	for _, m := range matcher.FindAllStringSubmatch(matchers, -1) {
		label, wanted := m[1], strings.Split(m[3], "|")
		if label == "instance" || label == "job" { // of Prometheus
			continue
		}
		for _, v := range wanted {
			if !slices.Contains(values[label], v) {
				return fmt.Sprintf("%s has no %s %q", name, label, v)
			}
		}
	}
	return ""
}

// Each alert says what it is about, how bad it is and where to read on, and each
// paragraph of the runbook has its alert.
func TestRunbook(t *testing.T) {
	text, err := os.ReadFile(docs + "operations.md")
	if err != nil {
		t.Fatal(err)
	}
	paragraphs := make(map[string]bool)
	for _, heading := range regexp.MustCompile(`(?m)^### (Carillon\w+)$`).FindAllStringSubmatch(string(text), -1) {
		paragraphs[heading[1]] = true
	}
	for _, r := range rules(t) {
		if !paragraphs[r.Alert] {
			t.Errorf("docs/operations.md does not say what to do about %s", r.Alert)
		}
		delete(paragraphs, r.Alert)
		if !strings.HasSuffix(r.Annotations["runbook_url"], "/docs/operations.md#"+strings.ToLower(r.Alert)) || r.Annotations["summary"] == "" {
			t.Errorf("%s: annotations %q", r.Alert, r.Annotations)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
		}
	}
	for name := range paragraphs {
		t.Errorf("docs/operations.md says what to do about %s, which is no alert", name)
	}
}

// Prometheus itself understands the alerts and the queries of the dashboard, and
// the alerts do what their tests say.
func TestInteropPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	switch {
	case err != nil && os.Getenv("CARILLON_INTEROP") == "1":
		t.Fatal("CARILLON_INTEROP=1, but promtool is not installed")
	case err != nil:
		t.Skip("NOT TESTED with promtool, which is not installed here: apt-get install prometheus")
	}
	type recorded struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var all []recorded
	variables := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*")
	for title, queries := range panels(t) {
		for _, q := range queries {
			if title != "variables" {
				all = append(all, recorded{fmt.Sprintf("panel_%d", len(all)), variables.Replace(q)})
			}
		}
	}
	board, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": all}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(path, board, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", docs + "alerts.yml", path}, {"test", "rules", docs + "alerts.test.yml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
}
