package scenario

import (
	"context"
	"slices"
	"sync"

	"github.com/carillon-iot/carillon/device-sim/scenario/script"
)

// A phrase is a sentence and what it does. For a sentence of kind See, do is
// asked again and again until it returns nil or the deadline has come, and must
// not change anything.
type phrase struct {
	script.Phrase
	do func(context.Context, *stage, script.Args) error
}

// phrases is the vocabulary, in the order in which it is documented.
func phrases() []phrase {
	return slices.Concat(
		all(script.Given, givens()),
		all(script.Act, acts()), all(script.Act, faults()), all(script.Act, intrusions()),
		all(script.See, sights()), all(script.See, counts()), all(script.See, defences()),
	)
}

// sentence is one line of a table.
type sentence struct {
	pattern, about string
	do             func(context.Context, *stage, script.Args) error
}

func all(kind script.Kind, table []sentence) []phrase {
	out := make([]phrase, len(table))
	for i, s := range table {
		out[i] = phrase{script.Phrase{Pattern: s.pattern, Kind: kind, About: s.about}, s.do}
	}
	return out
}

// Vocabulary returns the sentences that scenarios are made of.
func Vocabulary() *script.Vocabulary { return vocabulary() }

var vocabulary = sync.OnceValue(func() *script.Vocabulary {
	var ps []script.Phrase
	for _, p := range phrases() {
		ps = append(ps, p.Phrase)
	}
	v, err := script.NewVocabulary(ps, slots())
	if err != nil {
		panic("scenario: " + err.Error()) // compiled in, and tested
	}
	return v
})
