package main

import (
	"maps"
	"strings"
	"testing"

	"github.com/peterbourgon/ff/v3/fftoml"
)

func read(text string) (map[string]string, error) {
	got := map[string]string{}
	err := parseTOML(strings.NewReader(text), func(name, value string) error {
		got[name] = value
		return nil
	})
	return got, err
}

func TestTOML(t *testing.T) {
	got, err := read(`
# The agent of one car.
broker = "mq.example.com:8883"   # TLS
guest  = 'C:\no\escapes'
log-json = true
seat=-3
quoted = "a \"b\" \\ \t# no comment"
`)
	want := map[string]string{"broker": "mq.example.com:8883", "guest": `C:\no\escapes`, "log-json": "true", "seat": "-3", "quoted": "a \"b\" \\ \t# no comment"}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTOMLRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"[table]": "table", "a": "key = value", "= 1": "key = value", "a = ": "no string", "a = b": "no string", "a = \"x": "no end",
		"a = 'x": "no end", "a = \"\\u0041\"": "escape", "a = \"\"\"x\"\"\"": "one line", "a = [1]": "no string", "a = 1.5": "no string",
		"a = 1 2": "follows", "a = \"x\" y": "follows", "a = 1\na = 2": "line 2", "a b = 1": "key = value", "a.b = 1": "key = value",
		"a = 01": "no string", "a = +1": "no string", "a = \"\x01\"": "control", "a = \xff": "UTF-8", "a = 99999999999999999999": "no string",
	} {
		if got, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

// What is accepted means the same to a whole TOML parser.
func FuzzTOML(f *testing.F) {
	for _, seed := range []string{"a = 1", "a = \"b\" # c", "a='b'", "a = true\nb = false", "a = \"\\\\\\t\"", "a = -0", "# x\n\na-b_c = 1", "a\t=\t1\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := read(text)
		if err != nil {
			return
		}
		want := map[string]string{}
		err = fftoml.Parser(strings.NewReader(text), func(name, value string) error {
			want[name] = value
			return nil
		})
		if err != nil {
			t.Fatalf("%q is no TOML: %v", text, err)
		}
		for name, value := range got {
			if value == "-0" {
				got[name] = "0"
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%q means %q, to TOML %q", text, got, want)
		}
	})
}
