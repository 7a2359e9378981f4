package main

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

// The page names every flag of run, and no other.
func TestDocsNameEveryFlag(t *testing.T) {
	page, err := os.ReadFile("../../../docs/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| `run` |")
	table, _, _ = strings.Cut(table, "\n\n")
	var documented []string
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) < 3 || !strings.Contains(cells[1], "`") {
			continue
		}
		for name := range strings.SplitSeq(cells[1], ",") {
			documented = append(documented, strings.Trim(name, " `"))
		}
	}
	var o runFlags
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	o.define(fs)
	var flags []string
	fs.VisitAll(func(f *flag.Flag) { flags = append(flags, f.Name) })
	slices.Sort(documented)
	if !slices.Equal(flags, documented) {
		t.Errorf("flags %q, documented %q", flags, documented)
	}
}

// The example is read as it stands, and so are the lines it shows as comments.
func TestExampleConfiguration(t *testing.T) {
	text, err := os.ReadFile("../../../docs/agent.example.toml")
	if err != nil {
		t.Fatal(err)
	}
	var o runFlags
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	o.define(fs)
	whole := strings.ReplaceAll(string(text), "\n# allow-uid", "\nallow-uid")
	whole = strings.ReplaceAll(whole, "\n# guest", "\nguest")
	n := 0
	err = parseTOML(strings.NewReader(whole), func(name, value string) error {
		n++
		return fs.Set(name, value)
	})
	if err != nil || n != 9 || o.broker != "mq.example.com:8883" || o.allow != "990,1000" {
		t.Errorf("%d settings, %+v, %v", n, o, err)
	}
}
