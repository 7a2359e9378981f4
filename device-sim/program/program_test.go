package program_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/device-sim/program"
)

// A program that cannot work says why, and fails.
func TestMistakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(`{"Roots":"no-such-roots.pem","Listen":5}`), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.json")
	if err := os.WriteFile(empty, []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{program.Broker, nil, "0 arguments"},
		{program.Broker, []string{"a", "b"}, "2 arguments"},
		{program.Broker, []string{"no-such.json"}, "no-such.json"},
		{program.Broker, []string{file}, "config.json"},
		{program.Broker, []string{empty}, "no file name given"},
		{program.Provider, []string{empty}, "journal"},
		{program.Bridge, []string{"serve"}, "--broker is missing"},
	} {
		var out bytes.Buffer
		code := program.All()[c.name](t.Context(), c.args, &out, &out)
		if code == 0 || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s %q: exit status %d and %q, want %q", c.name, c.args, code, out.String(), c.want)
		}
	}
}
