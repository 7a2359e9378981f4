// Package scenario runs scenarios: text files that say what people, cars and
// things that go wrong do, and what must come of it.
//
// A scenario is read by package script, in the sentences of this package's
// vocabulary, and played in a world of its own with nothing in it replaced:
// pushes are counted at the provider and at the phone, bytes on the car's
// connection, settings in the vehicle. See docs/scenarios.md.
//
//	sc, err := scenario.Find("bridge-kill")
//	result, err := scenario.Run(ctx, sc, scenario.Options{})
package scenario

import (
	"embed"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carillon-iot/carillon/device-sim/scenario/script"
)

// A Scenario is a script with a name.
type Scenario struct {
	// Name is the file's, without .txt.
	Name string
	*script.Script
}

//go:embed files/*.txt
var files embed.FS

const suffix = ".txt"

// Names returns the names of the scenarios that come with the program, sorted.
func Names() []string {
	entries, _ := files.ReadDir("files") // compiled in
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), suffix))
	}
	slices.Sort(names)
	return names
}

// UnknownError says that no scenario has a name.
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("no scenario is called %q; there are %s, and a path to a file of your own ends in %s",
		e.Name, strings.Join(Names(), ", "), suffix)
}

// Find returns the scenario of a name, or the one in a file if the name ends in
// .txt. Errors: [*UnknownError], a [*script.Error] with the file's name before
// it, or the file's own.
func Find(name string) (Scenario, error) {
	if strings.HasSuffix(name, suffix) {
		text, err := os.ReadFile(name)
		if err != nil {
			return Scenario{}, err
		}
		return parse(strings.TrimSuffix(filepath.Base(name), suffix), name, text)
	}
	if !slices.Contains(Names(), name) {
		return Scenario{}, &UnknownError{name}
	}
	file := path.Join("files", name+suffix)
	text, err := files.ReadFile(file)
	if err != nil {
		return Scenario{}, err
	}
	return parse(name, path.Base(file), text)
}

func parse(name, file string, text []byte) (Scenario, error) {
	s, err := script.Parse(Vocabulary(), string(text))
	if err != nil {
		return Scenario{}, fmt.Errorf("%s: %w", file, err)
	}
	return Scenario{name, s}, nil
}
