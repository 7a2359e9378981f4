package metrics_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/carillon-iot/carillon/bridge/metrics"
)

// A nil Set takes everything and does nothing.
func TestNil(t *testing.T) {
	set := reflect.ValueOf((*metrics.Set)(nil))
	for i := range set.NumMethod() {
		args := make([]reflect.Value, set.Method(i).Type().NumIn())
		for j := range args {
			args[j] = reflect.Zero(set.Method(i).Type().In(j))
		}
		set.Method(i).Call(args)
	}
}

// watched returns a Set that watches everything.
func watched() *metrics.Set {
	s := metrics.New()
	for _, queue := range []string{"intake", "outbox", "broker"} {
		s.WatchQueue(queue, 10, func() int { return 3 })
	}
	s.WatchCalls(metrics.Authenticate, func() int { return 128 }, func() int { return 1 })
	s.WatchCalls(metrics.Token, func() int { return 256 }, func() int { return 2 })
	s.WatchCalls(metrics.Refresh, func() int { return 64 }, func() int { return 3 })
	s.WatchLimit(1000)
	s.WatchLink(func() metrics.Link { return metrics.Link{Up: true, Connections: 2, Received: 7, Dropped: 1} })
	s.WatchCertificate("bridge", func() time.Time { return time.Unix(2e9, 0) })
	s.WatchRevocations(func() time.Time { return time.Time{} })
	return s
}

// Names, units and help are as Prometheus wants them.
func TestNames(t *testing.T) {
	problems, err := testutil.GatherAndLint(watched().Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Every value of a label has its series from the beginning, and what is not a
// value makes none.
func TestClosedSets(t *testing.T) {
	s := watched()
	before := series(t, s)
	for name, value := range constants(t) {
		if !strings.Contains(before, strconv.Quote(value)) {
			t.Errorf("no series has the value %q of the constant %s", value, name)
		}
	}
	s.Dropped("car-1")
	s.Published("car-1")
	s.Ended("invented", "granted")
	s.Ended(metrics.SignIn, "anna@example.com")
	s.Suppressed("anna@example.com")
	s.Busy("car-1")
	s.Open("car-1", 7)
	s.Stage("car-1", time.Second)
	s.Decided("anna@example.com", time.Second)
	s.Called("https://op.example.com", "invented", time.Second)
	s.Called(metrics.Token, "invented", time.Second)
	s.Claimed("car-1", time.Second)
	s.Exported("invented", 1)
	if after := series(t, s); after != before {
		t.Errorf("there are other series than before:\n%s\nwant\n%s", after, before)
	}
	if !strings.Contains(before, `call="token",result="other"`) {
		t.Error("what a provider invents has no series to be counted in")
	}
}

// series lists the series of the bridge.
func series(t *testing.T, s *metrics.Set) string {
	t.Helper()
	families, err := s.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+strconv.Quote(l.GetValue()))
			}
			out.WriteString(f.GetName() + "{" + strings.Join(labels, ",") + "}\n")
		}
	}
	return out.String()
}

// constants returns the values of the constants that are labels.
func constants(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 && ast.IsExported(spec.Names[0].Name) {
				if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					all[spec.Names[0].Name], _ = strconv.Unquote(lit.Value)
				}
			}
			return true
		})
	}
	if len(all) < 40 {
		t.Fatalf("found only %d constants", len(all))
	}
	return all
}
