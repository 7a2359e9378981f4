package script_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/device-sim/scenario/script"
)

func oneOf(words ...string) func(string) (any, error) {
	return func(s string) (any, error) {
		if !slices.Contains(words, s) {
			return nil, errors.New("no")
		}
		return s, nil
	}
}

func vocabulary(t testing.TB) *script.Vocabulary {
	v, err := script.NewVocabulary([]script.Phrase{
		{Pattern: "the {pet} is hungry", Kind: script.Given},
		{Pattern: "the {pet} eats {food}", Kind: script.Act},
		{Pattern: "{pet}'s bowl is empty", Kind: script.See},
		{Pattern: "nobody complains", Kind: script.See},
	}, []script.Slot{
		{Name: "pet", Want: "cat or dog", Parse: oneOf("cat", "dog")},
		{Name: "food", Want: "fish", Parse: oneOf("fish", "fresh fish")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const good = `Dinner

A pet that is fed
stops asking.

That is all.
# a remark
    the cat is hungry

    the  cat eats fresh fish
	# the next one waits
	cat's bowl is empty within 1500 ms
    nobody complains
`

func TestParse(t *testing.T) {
	s, err := script.Parse(vocabulary(t), good)
	if err != nil {
		t.Fatal(err)
	}
	if s.Title != "Dinner" || s.Why != "A pet that is fed\nstops asking.\n\nThat is all." {
		t.Errorf("title %q, why %q", s.Title, s.Why)
	}
	want := []script.Step{
		{Line: 8, Text: "the cat is hungry", Phrase: 0, Kind: script.Given, Args: script.Args{"pet": "cat"}},
		{Line: 10, Text: "the cat eats fresh fish", Phrase: 1, Kind: script.Act, Args: script.Args{"pet": "cat", "food": "fresh fish"}},
		{Line: 12, Text: "cat's bowl is empty", Phrase: 2, Kind: script.See, Args: script.Args{"pet": "cat"}, Within: 1500 * time.Millisecond},
		{Line: 13, Text: "nobody complains", Phrase: 3, Kind: script.See, Args: script.Args{}},
	}
	if got, want := fmt.Sprint(s.Steps), fmt.Sprint(want); got != want {
		t.Errorf("steps\n%s\nwant\n%s", got, want)
	}
}

// Each mistake is reported with its line and with what would be right.
func TestMistakes(t *testing.T) {
	head := "Title\n\nWhy.\n\n"
	for _, c := range []struct{ name, text, want string }{
		{"empty", "\n\n", "the script is empty"},
		{"indented title", "  Title\n", "line 1: the first line is the title"},
		{"no prose", "Title\n\n  nobody complains\n", "line 3: prose that says why"},
		{"no expectation", head + "  the cat eats fish\n", "the script expects nothing"},
		{"unknown sentence", head + "  the cat sleeps\n", `line 5: no sentence of the vocabulary is "the cat sleeps"`},
		{"nearest", head + "  the cat is very hungry\n", `the nearest is "the {pet} is hungry"`},
		{"wrong slot", head + "  the cow eats fish\n", `line 5: in "the {pet} eats {food}": pet is "cow", want cat or dog`},
		{"late given", head + "  the cat eats fish\n  the cat is hungry\n", "line 6: \"the cat is hungry\" sets the scene"},
		{"prose after steps", head + "  nobody complains\nReally.\n", "line 6: a line after the first step"},
		{"deadline on act", head + "  the cat eats fish within 3 s\n", "takes no deadline"},
		{"deadline without unit", head + "  nobody complains within 3\n", `line 5: deadline: duration is "3", want`},
		{"deadline of nothing", head + "  nobody complains within 0 s\n", `duration is "0 s"`},
		{"deadline too long", head + "  nobody complains within 11 min\n", "the limit is 10m0s"},
		{"long line", head + strings.Repeat("x", script.MaxLine+1), "line 5: the line has 201 bytes"},
		{"control character", head + "  nobody \x1b[1mcomplains\n", "control character U+001B"},
		{"not text", "Title \xff\n", "line 1: the line is not UTF-8"},
		{"too many steps", head + strings.Repeat(" nobody complains\n", script.MaxSteps+1), "line 205: the limit is 200 steps"},
		{"too large", strings.Repeat("\n", script.MaxBytes+1), "the limit is 65536"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := script.Parse(vocabulary(t), c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if s != nil {
				t.Error("a script was returned beside the error")
			}
			var e *script.Error
			if !errors.As(err, &e) {
				t.Errorf("%T is not a *script.Error", err)
			}
		})
	}
}

// A sentence that two phrases fit is refused, not read as the first.
func TestAmbiguous(t *testing.T) {
	any := script.Slot{Name: "thing", Want: "anything", Parse: func(s string) (any, error) { return s, nil }}
	v, err := script.NewVocabulary([]script.Phrase{
		{Pattern: "{thing} falls", Kind: script.See}, {Pattern: "the {thing} falls", Kind: script.See},
	}, []script.Slot{any})
	if err != nil {
		t.Fatal(err)
	}
	_, err = script.Parse(v, "T\n\nWhy.\n  the cup falls\n")
	if err == nil || !strings.Contains(err.Error(), "can be read as") {
		t.Errorf("error %v", err)
	}
}

func TestBadVocabulary(t *testing.T) {
	slot := script.Slot{Name: "pet", Parse: oneOf("cat")}
	for _, c := range []struct {
		phrases []string
		slots   []script.Slot
		want    string
	}{
		{[]string{"the {cow} eats"}, []script.Slot{slot}, "{cow} is not defined"},
		{[]string{"the {pet} sees the {pet}"}, []script.Slot{slot}, "{pet} stands twice"},
		{[]string{"a", "a"}, nil, "stands twice"},
		{[]string{"a  b"}, nil, "one blank apart"},
		{nil, []script.Slot{slot, slot}, "defined twice"},
	} {
		var phrases []script.Phrase
		for _, p := range c.phrases {
			phrases = append(phrases, script.Phrase{Pattern: p})
		}
		if _, err := script.NewVocabulary(phrases, c.slots); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.phrases, err, c.want)
		}
	}
}

// Whatever parses is written down so that it parses to the same, and whatever
// does not gives no script.
func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add("T\n\nW\n  nobody complains within 60 s\n")
	f.Add("T\n\n#\nW\r\n\u00a0x\n  nobody complains\n  the cat is hungry\n")
	v := vocabulary(f)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := script.Parse(v, text)
		if err != nil {
			if s != nil {
				t.Fatal("a script beside an error")
			}
			return
		}
		written := format(s)
		for line := range strings.Lines(written) {
			if len(strings.TrimSpace(line)) > script.MaxLine {
				return // 60 s is written as 1 min
			}
		}
		again, err := script.Parse(v, written)
		if err != nil {
			t.Fatalf("%v\n%q", err, written)
		}
		if got := format(again); got != written {
			t.Fatalf("written %q, read back and written %q", written, got)
		}
	})
}

// format writes a script down, so that it reads back the same.
func format(s *script.Script) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n\n", s.Title, s.Why)
	for _, st := range s.Steps {
		b.WriteString("    " + st.Text)
		switch d := st.Within; {
		case d == 0:
		case d%time.Minute == 0:
			fmt.Fprintf(&b, " within %d min", d/time.Minute)
		case d%time.Second == 0:
			fmt.Fprintf(&b, " within %d s", d/time.Second)
		default:
			fmt.Fprintf(&b, " within %d ms", d.Milliseconds())
		}
		b.WriteString("\n")
	}
	return b.String()
}
