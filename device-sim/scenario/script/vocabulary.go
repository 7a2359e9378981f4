package script

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Kind says what a sentence does, and so where it may stand.
type Kind int

// The kinds of sentences.
const (
	Given Kind = iota // sets the scene: before all others
	Act               // somebody does something
	See               // something must be so, now or before a deadline
)

// String returns the kind in lower case.
func (k Kind) String() string {
	switch k {
	case Given:
		return "given"
	case Act:
		return "act"
	case See:
		return "see"
	}
	return fmt.Sprintf("kind %d", int(k))
}

// A Phrase is one sentence of a vocabulary.
type Phrase struct {
	// Pattern is the sentence with slots in braces. Words are in lower case,
	// one blank apart.
	Pattern string
	// Kind says where the sentence may stand.
	Kind Kind
	// About says what it does, in one sentence for the reader of a list.
	About string
}

// A Slot says what may stand in place of a slot of that name.
type Slot struct {
	// Name as in the patterns, without braces.
	Name string
	// Want describes what fits, to be read after "want".
	Want string
	// Parse turns the words into a value. Its error is not shown, Want is.
	Parse func(words string) (any, error)
}

// A Vocabulary is the sentences that steps are made of. It does not change.
type Vocabulary struct {
	phrases []Phrase
	slots   map[string]Slot
	forms   []form
}

// form is a phrase ready to be compared.
type form struct {
	match *regexp.Regexp
	slots []string
	words []string // the literal ones
}

var slotPattern = regexp.MustCompile(`\{([a-z]+)\}`)

// NewVocabulary checks that every slot is defined and no phrase stands twice.
func NewVocabulary(phrases []Phrase, slots []Slot) (*Vocabulary, error) {
	v := &Vocabulary{phrases: slices.Clone(phrases), slots: map[string]Slot{}}
	for _, s := range slots {
		if _, dup := v.slots[s.Name]; dup || s.Name == "" || s.Parse == nil {
			return nil, fmt.Errorf("slot %q is empty, incomplete or defined twice", s.Name)
		}
		v.slots[s.Name] = s
	}
	for i, p := range phrases {
		if p.Pattern != strings.Join(strings.Fields(p.Pattern), " ") || p.Pattern == "" {
			return nil, fmt.Errorf("phrase %q: words must be one blank apart", p.Pattern)
		}
		if slices.ContainsFunc(phrases[:i], func(q Phrase) bool { return q.Pattern == p.Pattern }) {
			return nil, fmt.Errorf("phrase %q stands twice", p.Pattern)
		}
		f, err := v.compile(p.Pattern)
		if err != nil {
			return nil, fmt.Errorf("phrase %q: %w", p.Pattern, err)
		}
		v.forms = append(v.forms, f)
	}
	return v, nil
}

func (v *Vocabulary) compile(pattern string) (form, error) {
	f := form{words: strings.Fields(slotPattern.ReplaceAllString(pattern, ""))}
	var re strings.Builder
	re.WriteString("^")
	rest := pattern
	for {
		at := slotPattern.FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		name := rest[at[2]:at[3]]
		if _, ok := v.slots[name]; !ok {
			return f, fmt.Errorf("slot {%s} is not defined", name)
		}
		if slices.Contains(f.slots, name) {
			return f, fmt.Errorf("slot {%s} stands twice", name)
		}
		f.slots = append(f.slots, name)
		re.WriteString(regexp.QuoteMeta(rest[:at[0]]) + "(.+?)")
		rest = rest[at[1]:]
	}
	re.WriteString(regexp.QuoteMeta(rest) + "$")
	var err error
	f.match, err = regexp.Compile(re.String())
	return f, err
}

// Phrases returns the sentences in the order given.
func (v *Vocabulary) Phrases() []Phrase { return slices.Clone(v.phrases) }

// Slots returns what fits where, by name.
func (v *Vocabulary) Slots() []Slot {
	out := make([]Slot, 0, len(v.slots))
	for _, s := range v.slots {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Slot) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Args are the values of the slots of one sentence, by name.
type Args map[string]any

// read finds the one phrase that a sentence is.
func (v *Vocabulary) read(sentence string) (int, Args, error) {
	found, problem := -1, error(nil)
	var args Args
	for i, f := range v.forms {
		m := f.match.FindStringSubmatch(sentence)
		if m == nil {
			continue
		}
		a, err := v.fill(f, m[1:])
		switch {
		case err != nil && problem == nil:
			problem = fmt.Errorf("in %q: %w", v.phrases[i].Pattern, err)
		case err != nil:
		case found >= 0:
			return 0, nil, fmt.Errorf("%q can be read as %q and as %q", sentence, v.phrases[found].Pattern, v.phrases[i].Pattern)
		default:
			found, args = i, a
		}
	}
	switch {
	case found >= 0:
		return found, args, nil
	case problem != nil:
		return 0, nil, problem
	}
	return 0, nil, fmt.Errorf("no sentence of the vocabulary is %q%s", sentence, v.nearest(sentence))
}

func (v *Vocabulary) fill(f form, words []string) (Args, error) {
	args := make(Args, len(words))
	for i, name := range f.slots {
		value, err := v.slots[name].Parse(words[i])
		if err != nil {
			return nil, fmt.Errorf("%s is %q, want %s", name, words[i], v.slots[name].Want)
		}
		args[name] = value
	}
	return args, nil
}

// nearest names the phrase that shares most of its words with the sentence, if
// any shares half of them.
func (v *Vocabulary) nearest(sentence string) string {
	have := strings.Fields(sentence)
	best, score := -1, 0.5
	for i, f := range v.forms {
		shared := 0
		for _, w := range f.words {
			if slices.Contains(have, w) {
				shared++
			}
		}
		if s := float64(shared) / float64(max(len(f.words), 1)); s > score {
			best, score = i, s
		}
	}
	if best < 0 {
		return ""
	}
	return fmt.Sprintf("; the nearest is %q", v.phrases[best].Pattern)
}
