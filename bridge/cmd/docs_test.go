package cmd

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/peterbourgon/ff/v3"
)

// The reference in docs/bridge.md has every setting with its default, and no
// others.
func TestDocs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/bridge.md")
	if err != nil {
		t.Fatal(err)
	}
	reference, _, _ := strings.Cut(string(doc), "## What a crash leaves behind")
	_, reference, _ = strings.Cut(reference, "## Settings")
	documented := make(map[string]string) // its row
	for _, row := range strings.Split(reference, "\n") {
		if !strings.HasPrefix(row, "| `") {
			continue
		}
		first := strings.SplitN(row, "|", 3)[1]
		for _, name := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(first, -1) {
			documented[name[1]] = row
		}
	}
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	new(settings).define(fs)
	fs.VisitAll(func(f *flag.Flag) {
		row, ok := documented[f.Name]
		delete(documented, f.Name)
		short := strings.ReplaceAll(strings.ReplaceAll(f.DefValue, "m0s", "m"), "h0m", "h")
		if !ok {
			t.Errorf("%s is not in docs/bridge.md", f.Name)
		} else if f.DefValue != "" && !strings.Contains(row, "`"+short+"`") {
			t.Errorf("the row of %s does not say its default %q: %s", f.Name, short, row)
		}
	})
	for name := range documented {
		t.Errorf("docs/bridge.md explains %s, which is no setting", name)
	}
}

// The example is accepted as far as it can be without its files.
func TestExample(t *testing.T) {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	s := new(settings)
	s.define(fs)
	fs.String("config", "", "")
	err := ff.Parse(fs, []string{"--config", "../../docs/bridge.example.toml"}, ff.WithConfigFileFlag("config"), ff.WithConfigFileParser(parseTOML))
	if err != nil {
		t.Fatal(err)
	}
	for _, require := range []func() error{s.require, s.client.require, s.callback.require} {
		if err := require(); err != nil {
			t.Error(err)
		}
	}
	p, err := s.buildPolicy(profile.Profile{})
	if err != nil {
		t.Error(err)
	}
	if len(p.Scopes) != 2 || p.PerPerson.Burst != 4 || s.issuer != "https://op.example.com" {
		t.Errorf("policy %+v, issuer %q", p, s.issuer)
	}
}
