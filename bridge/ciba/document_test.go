package ciba_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

// update makes tests write down what they would otherwise hold against what is
// written.
var update = flag.Bool("update", false, "write the tables in testdata and docs anew")

const providersDoc = "../../docs/providers.md"

// holdFile checks that a file has the given text.
func holdFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err == nil && string(got) == want {
		return
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Error(err)
		}
		return
	}
	t.Errorf("%s is out of date (%v): run go test ./bridge/ciba -update. It should say\n%s", path, err, want)
}

// holdLines checks the lines that begin with prefix, between two comments of a
// document that name a table: those of another prefix belong to another test.
func holdLines(t *testing.T, path, name, prefix, want string) {
	t.Helper()
	document, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(document), "\n")
	begin := slices.Index(lines, "<!-- "+name+": go test ./bridge/ciba -update writes from here -->\n")
	end := slices.Index(lines, "<!-- "+name+": to here -->\n")
	if begin < 0 || end < begin {
		t.Fatalf("%s has no place for the table %q", path, name)
	}
	kept := slices.Clone(lines[:begin+1])
	at := -1 // where the lines go
	for _, line := range lines[begin+1 : end] {
		if !strings.HasPrefix(line, prefix) {
			kept = append(kept, line)
		} else if at < 0 {
			at = len(kept)
		}
	}
	if at < 0 {
		at = len(kept)
	}
	written := strings.Join(append(slices.Insert(kept, at, want), lines[end:]...), "")
	switch {
	case written == string(document):
	case *update:
		holdFile(t, path, written)
	default:
		t.Errorf("%s is out of date: run go test ./bridge/ciba -update. It should say\n%s", path, want)
	}
}
