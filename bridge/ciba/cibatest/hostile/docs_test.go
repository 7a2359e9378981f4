package hostile_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest/hostile"
)

// TestDocs holds the table for operators to the list.
func TestDocs(t *testing.T) {
	var b strings.Builder
	b.WriteString("| a provider may | ways | the device is told | an operator must act |\n|---|---|---|---|\n")
	for _, g := range hostile.Groups() {
		alarm := ""
		if g.Outcome.Alarm {
			alarm = "yes"
		}
		fmt.Fprintf(&b, "| %s | %d | `%s` | %s |\n", g.Title, len(g.Rows), g.Outcome.Code, alarm)
	}
	page, err := os.ReadFile("../../../../docs/misbehaviour.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "\n\n"+b.String()+"\n") {
		t.Errorf("docs/misbehaviour.md does not have this table:\n%s", b.String())
	}
}

// TestEveryFaultIsPlayed: each fault of package cibatest is in its documentation,
// and in the list.
func TestEveryFaultIsPlayed(t *testing.T) {
	documented := documentedFaults(t)
	for _, name := range exportedFaults(t) {
		if !slices.Contains(documented, name) {
			t.Errorf("%s is not in the documentation of package cibatest", name)
		}
	}
	played := map[string]bool{}
	for _, file := range parse(t, ".") {
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				played[id.Name] = true
			}
			return true
		})
	}
	for _, name := range documented {
		if !played[name] {
			t.Errorf("%s is documented, and in no row", name)
		}
	}
}

// documentedFaults returns the first words of the tables in the documentation.
func documentedFaults(t *testing.T) (names []string) {
	t.Helper()
	for name, file := range parse(t, "..") {
		if filepath.Base(name) != "doc.go" {
			continue
		}
		_, faults, _ := strings.Cut(file.Doc.Text(), "# What it can do wrong")
		for _, m := range regexp.MustCompile(`(?m)^\t([A-Z]\w+) `).FindAllStringSubmatch(faults, -1) {
			names = append(names, m[1])
		}
	}
	if len(names) < 30 {
		t.Fatalf("the documentation has only %q", names)
	}
	return names
}

// exportedFaults returns the functions that make faults, and the fields of
// Provider that edit something.
func exportedFaults(t *testing.T) (names []string) {
	t.Helper()
	for _, file := range parse(t, "..") {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.IsExported() && makesFault(n.Type) {
					names = append(names, n.Name.Name)
				}
			case *ast.Field:
				for _, name := range n.Names {
					if strings.HasPrefix(name.Name, "Edit") {
						names = append(names, name.Name)
					}
				}
			}
			return true
		})
	}
	return names
}

func makesFault(f *ast.FuncType) bool {
	if f.Results == nil || len(f.Results.List) != 1 {
		return false
	}
	result, ok := f.Results.List[0].Type.(*ast.Ident)
	return ok && (result.Name == "Fault" || result.Name == "Wire")
}

func parse(t *testing.T, dir string) map[string]*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = file
	}
	return files
}
