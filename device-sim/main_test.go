package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/device-sim/program"
	"github.com/carillon-iot/carillon/device-sim/scenario"
)

// Parts that are to be killed are processes of their own: this binary again.
func TestMain(m *testing.M) {
	if code, ok := program.All().Child(context.Background(), os.Args[1:], os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// command runs the program in this process.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code = run(ctx, args, stdio{in: strings.NewReader(""), out: &out, err: &err})
	return code, out.String(), err.String()
}

// Every scenario passes, and says so in its summary. At most four worlds at a
// time: each has 15 goroutines that sign and verify.
func TestScenarios(t *testing.T) {
	four := make(chan struct{}, 4)
	for _, name := range scenario.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			four <- struct{}{}
			defer func() { <-four }()
			code, stdout, stderr := command(t, "run", name, "--json")
			lines := objects(t, stdout)
			if len(lines) == 0 {
				t.Fatalf("exit status %d, nothing printed, and on standard error %q", code, stderr)
			}
			last := lines[len(lines)-1]
			if code != exitOK || last["outcome"] != "passed" {
				t.Fatalf("exit status %d: %v\n%s\n%s", code, last["problem"], stdout, stderr)
			}
			if last["event"] != "summary" || last["scenario"] != name {
				t.Errorf("the last object is %v, want the summary of %q", last, name)
			}
			for _, field := range []string{"bytes_up", "bytes_down", "pushes", "ms"} {
				if n, ok := last[field].(float64); !ok || n < 0 {
					t.Errorf("summary: %s is %v, want a number", field, last[field])
				}
			}
			if ms := last["ms"].(float64); ms > 30_000 {
				t.Errorf("it took %v ms", ms)
			}
		})
	}
}

func objects(t *testing.T, lines string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(lines) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%q is no JSON object: %v", line, err)
		}
		out = append(out, o)
	}
	return out
}

// The summary's pushes and bytes are what the events before it add up to.
func TestSummaryAddsUp(t *testing.T) {
	code, stdout, stderr := command(t, "world", "--auto", "--json", "--device", "red", "--person", "bela", "--scope", "seat light")
	if code != exitOK {
		t.Fatalf("exit status %d: %s", code, stderr)
	}
	lines := objects(t, stdout)
	sum := lines[len(lines)-1]
	rings, up, shown, began := 0, 0.0, 0, false
	for _, o := range lines[:len(lines)-1] {
		switch o["event"] {
		case "up":
			began = true
		case "rings":
			rings++
			if !strings.HasPrefix(o["who"].(string), "Bela") {
				t.Errorf("%v rings", o["who"])
			}
		case "set":
			shown++
		}
		if n, ok := o["bytes_up"].(float64); ok && began {
			up += n
		}
	}
	if float64(rings) != sum["pushes"] || rings != 1 {
		t.Errorf("%d rings in the events, %v pushes in the summary, want 1", rings, sum["pushes"])
	}
	if shown == 0 {
		t.Error("no change of a setting was shown")
	}
	// A car may acknowledge its welcome, with 4 bytes, before the steps or after.
	if total := sum["bytes_up"].(float64); up > total+8 || up < total/2 {
		t.Errorf("%v bytes up in the events, %v in the summary", up, total)
	}
}

func TestAutoForPeople(t *testing.T) {
	code, stdout, stderr := command(t, "world")
	if code != exitOK {
		t.Fatalf("exit status %d: %s", code, stderr)
	}
	if !strings.Contains(stderr, "no terminal") {
		t.Errorf("without a terminal it does not say why nobody is asked: %q", stderr)
	}
	for _, want := range []string{"▲ sign-in", "▼ granted", "Anna's phone", " → ", "of a budget of 1800", "1 push"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the output lacks %q:\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "\x1b") {
		t.Error("colours, though it is no terminal")
	}
}

// A person at the terminal denies, tries nonsense, asks again, approves, signs
// out and quits.
func TestPlay(t *testing.T) {
	keyboard, typed := io.Pipe()
	screen := newScreen()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"world"}, stdio{in: keyboard, out: screen, err: screen, person: true, colour: true})
	}()
	for _, turn := range []struct{ wait, say string }{
		{"Approve (a), deny (d)", "d"},
		{"refused: access denied", "dance"},
		{`"dance" is not understood`, "ask bela red seat"},
		{"Bela's phone", ""},
		{"Approve (a), deny (d)", "a"},
		{"settings applied", "out red"},
		{"everything is as it was before", "quit"},
	} {
		if err := screen.await(ctx, turn.wait); err != nil {
			t.Fatal(err)
		}
		if turn.say != "" {
			fmt.Fprintln(typed, turn.say)
		}
	}
	if code := <-ended; code != exitOK {
		t.Errorf("exit status %d", code)
	}
	typed.Close()
}

// screen is what a person sees.
type screen struct {
	mu      sync.Mutex // guards the fields below
	text    string
	read    int
	changed chan struct{}
}

func newScreen() *screen { return &screen{changed: make(chan struct{})} }

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text += string(b)
	close(s.changed)
	s.changed = make(chan struct{})
	return len(b), nil
}

// await reads on until words appear.
func (s *screen) await(ctx context.Context, words string) error {
	for {
		s.mu.Lock()
		at, changed := strings.Index(s.text[s.read:], words), s.changed
		if at >= 0 {
			s.read += at + len(words)
			s.mu.Unlock()
			return nil
		}
		all := s.text
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the screen never showed %q:\n%s", words, all)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string // on standard error, or on standard output with status 0
	}{
		{"", exitUsage, "no command given"},
		{"dance", exitUsage, `no command is called "dance"`},
		{"--help", exitOK, "EXAMPLES"},
		{"run --help", exitOK, "device-sim run lost-answer"},
		{"run new-car --help", exitOK, "device-sim run lost-answer"},
		{"world --help", exitOK, "--auto --json"},
		{"list", exitOK, "bridge-kill"},
		{"list --words", exitOK, "the {car} car asks {whom} for {scopes}"},
		{"list bridge-kill", exitUsage, "takes no arguments"},
		{"run", exitUsage, "run takes one name"},
		{"run no-such", exitUsage, "unknown-person"},
		{"run new-car deny", exitUsage, "run takes one name"},
		{"run --all new-car", exitUsage, "one too many"},
		{"run --seed x new-car", exitUsage, "seed"},
		{"run new-car --seed -1", exitUsage, "seed"},
		{"run no-such.txt", exitFailed, "no-such.txt"},
		{"world --device green", exitUsage, `--device is "green", want one of blue, red`},
		{"world --person dora", exitUsage, `--person is "dora", want one of anna, bela, chidi`},
		{"world --scope trunk", exitUsage, `--scope holds "trunk"`},
		{"world --scope=", exitUsage, "--scope is empty"},
		{"world --nonsense", exitUsage, "nonsense"},
		{"world blue", exitUsage, "takes no arguments"},
		{"world --config no-such.toml", exitUsage, "no-such.toml"},
	} {
		t.Run(c.args, func(t *testing.T) {
			code, stdout, stderr := command(t, strings.Fields(c.args)...)
			shown := stderr
			if c.code == exitOK {
				shown = stdout
			}
			if code != c.code || !strings.Contains(shown, c.want) {
				t.Errorf("exit status %d and %q, want %d and %q", code, shown, c.code, c.want)
			}
		})
	}
}

// Flags come from the environment and from a file, too.
func TestFlagSources(t *testing.T) {
	t.Setenv("CARILLON_WORLD_DEVICE", "green")
	if code, _, stderr := command(t, "world"); code != exitUsage || !strings.Contains(stderr, "green") {
		t.Errorf("from the environment: exit status %d and %q", code, stderr)
	}
	t.Setenv("CARILLON_WORLD_DEVICE", "")
	file := t.TempDir() + "/world.toml"
	if err := os.WriteFile(file, []byte("person = \"dora\"\ndevice = \"red\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := command(t, "world", "--config", file); code != exitUsage || !strings.Contains(stderr, "dora") {
		t.Errorf("from a file: exit status %d and %q", code, stderr)
	}
}

// A scenario that expects what does not happen fails, with its line.
func TestFailingScenario(t *testing.T) {
	file := t.TempDir() + "/wrong.txt"
	text := "Wrong\n\nTo see it fail.\n\n  the blue car asks Anna for seat\n  Anna's phone rings twice within 500 ms\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := command(t, "run", "--json", file)
	lines := objects(t, stdout)
	last := lines[len(lines)-1]
	problem, _ := last["problem"].(string)
	if code != exitFailed || last["outcome"] != "failed" || !strings.HasPrefix(problem, "line 6: Anna's phone rings twice: after 5") {
		t.Errorf("exit status %d, summary %v, standard error %q", code, last, stderr)
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	screen := newScreen()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"run", "new-car"}, stdio{in: strings.NewReader(""), out: screen, err: screen})
	}()
	if err := screen.await(t.Context(), "Anna's phone"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if code := <-ended; code != exitFailed {
		t.Errorf("exit status %d, want 1", code)
	}
	if err := screen.await(t.Context(), "interrupted"); err != nil {
		t.Error(err)
	}
}
