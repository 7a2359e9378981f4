package scenario_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/device-sim/scenario"
)

// wanted are the scenarios that must exist, by the names that scripts use.
var wanted = []string{
	"new-car", "deny", "expire", "cancel", "unknown-person", "lost-answer", "broker-restart", "bridge-kill",
	"clock-1970", "impostor", "replay", "stranger-certificate", "wrong-topic", "renewal", "stolen-refresh-token",
}

func TestFiles(t *testing.T) {
	used := map[int]bool{}
	for _, name := range scenario.Names() {
		sc, err := scenario.Find(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if sc.Name != name || len(sc.Title) > 72 || strings.HasSuffix(sc.Title, ".") {
			t.Errorf("%s: name %q, title %q", name, sc.Name, sc.Title)
		}
		for _, step := range sc.Steps {
			used[step.Phrase] = true
		}
	}
	for _, name := range wanted {
		if _, err := scenario.Find(name); err != nil {
			t.Error(err)
		}
	}
	for i, p := range scenario.Vocabulary().Phrases() {
		if !used[i] {
			t.Errorf("no scenario uses, and so none tests, %q", p.Pattern)
		}
	}
}

func TestFind(t *testing.T) {
	var unknown *scenario.UnknownError
	if _, err := scenario.Find("no-such"); !errors.As(err, &unknown) || !strings.Contains(err.Error(), "new-car") {
		t.Errorf("an unknown name: error %v, want one that lists the names", err)
	}
	if _, err := scenario.Find("../files/new-car"); !errors.As(err, &unknown) {
		t.Errorf("a path without .txt: error %v, want that nothing is called so", err)
	}
	own := filepath.Join(t.TempDir(), "mine.txt")
	if _, err := scenario.Find(own); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: error %v", err)
	}
	text := "Mine\n\nTo try it.\n\n  the blue car asks Anna for seat, light and media\n  nobody's phone has rung\n"
	if err := os.WriteFile(own, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sc, err := scenario.Find(own)
	if err != nil || sc.Name != "mine" || sc.Steps[0].Args["scopes"] != "seat light media" {
		t.Errorf("an own file: %+v, error %v", sc, err)
	}
	if err := os.WriteFile(own, []byte(strings.Replace(text, "blue", "green", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := scenario.Find(own); err == nil || !strings.Contains(err.Error(), `line 5: in "the {car} car asks {whom} for {scopes}": car is "green", want blue or red`) {
		t.Errorf("a mistake in a file: error %v", err)
	}
}

// The reference in the documentation is the vocabulary.
func TestReference(t *testing.T) {
	doc, err := os.ReadFile("../../docs/scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), scenario.Reference()) {
		t.Error("docs/scenarios.md is not up to date: it must hold the output of device-sim list --words")
	}
}
