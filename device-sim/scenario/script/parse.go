package script

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Parse reads a script in the words of v. Errors are [*Error]; the first
// mistake ends the reading.
func Parse(v *Vocabulary, text string) (*Script, error) {
	if len(text) > MaxBytes {
		return nil, &Error{0, fmt.Errorf("the script has %d bytes, the limit is %d", len(text), MaxBytes)}
	}
	p := parser{vocabulary: v}
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(i+1, strings.TrimSuffix(line, "\r")); err != nil {
			return nil, &Error{i + 1, err}
		}
	}
	if err := p.finish(); err != nil {
		return nil, &Error{0, err}
	}
	return &p.script, nil
}

type parser struct {
	vocabulary *Vocabulary
	script     Script
	prose      []string // lines; an empty one ends a paragraph
}

func (p *parser) line(n int, line string) error {
	text := strings.TrimSpace(line)
	if err := checkLine(text); err != nil {
		return err
	}
	indented := text != line && strings.TrimLeft(line, " \t") != line
	switch {
	case strings.HasPrefix(text, "#"):
		return nil
	case text == "":
		p.prose = append(p.prose, "")
		return nil
	case p.script.Title == "" && indented:
		return errors.New("the first line is the title and must not be indented")
	case p.script.Title == "":
		p.script.Title = text
		return nil
	case indented:
		return p.step(n, strings.Join(strings.Fields(text), " "))
	case len(p.script.Steps) > 0:
		return errors.New("a line after the first step must be indented (a step) or begin with # (a remark)")
	}
	p.prose = append(p.prose, text)
	return nil
}

func checkLine(line string) error {
	if len(line) > MaxLine {
		return fmt.Errorf("the line has %d bytes, the limit is %d", len(line), MaxLine)
	}
	if !utf8.ValidString(line) {
		return errors.New("the line is not UTF-8")
	}
	for _, r := range line {
		if unicode.IsControl(r) && r != '\t' {
			return fmt.Errorf("the line holds the control character %U", r)
		}
	}
	return nil
}

func (p *parser) step(n int, text string) error {
	steps := p.script.Steps
	if p.why() == "" {
		return errors.New("prose that says why the scenario exists must stand before the first step")
	}
	if len(steps) == MaxSteps {
		return fmt.Errorf("the limit is %d steps", MaxSteps)
	}
	st := Step{Line: n, Text: text}
	if at := strings.LastIndex(text, " within "); at >= 0 {
		var err error
		if st.Within, err = ParseDuration(text[at+len(" within "):]); err != nil {
			return fmt.Errorf("deadline: %w", err)
		}
		if st.Within > MaxWithin {
			return fmt.Errorf("deadline is %v, the limit is %v", st.Within, MaxWithin)
		}
		st.Text = text[:at]
	}
	var err error
	if st.Phrase, st.Args, err = p.vocabulary.read(st.Text); err != nil {
		return err
	}
	st.Kind = p.vocabulary.phrases[st.Phrase].Kind
	if st.Kind == Given && len(steps) > 0 && steps[len(steps)-1].Kind != Given {
		return fmt.Errorf("%q sets the scene and must stand before everything that happens", st.Text)
	}
	if st.Kind != See && st.Within > 0 {
		return fmt.Errorf("%q is not something to be seen and takes no deadline", st.Text)
	}
	p.script.Steps = append(steps, st)
	return nil
}

func (p *parser) finish() error {
	p.script.Why = p.why()
	if p.script.Title == "" {
		return errors.New("the script is empty: the first line is the title")
	}
	for _, st := range p.script.Steps {
		if st.Kind == See {
			return nil
		}
	}
	return errors.New("the script expects nothing: at least one step must say what is to be seen")
}

// why joins the lines of prose; empty lines part paragraphs.
func (p *parser) why() string {
	var paragraphs []string
	fresh := true
	for _, l := range p.prose {
		switch {
		case l == "":
			fresh = true
		case fresh:
			paragraphs = append(paragraphs, l)
			fresh = false
		default:
			paragraphs[len(paragraphs)-1] += "\n" + l
		}
	}
	return strings.Join(paragraphs, "\n\n")
}
