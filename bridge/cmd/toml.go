package cmd

import (
	"fmt"
	"io"

	"github.com/peterbourgon/ff/v3/fftoml"
)

// parseTOML reads settings from a file. Tables are the words of a setting's name:
// provider-profile, provider.profile and profile under [provider] are the same.
// One that is set in two of these ways is an error, as neither comes first.
func parseTOML(r io.Reader, set func(name, value string) error) error {
	seen := make(map[string]bool)
	parser := fftoml.New(fftoml.WithTableDelimiter("-"))
	return parser.Parse(r, func(name, value string) error {
		if seen[name] {
			return fmt.Errorf("%s is set twice", name)
		}
		seen[name] = true
		return set(name, value)
	})
}
