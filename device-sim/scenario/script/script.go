package script

import (
	"fmt"
	"time"
)

// Limits of a script.
const (
	MaxBytes  = 64 << 10
	MaxLine   = 200 // bytes
	MaxSteps  = 200
	MaxWithin = 10 * time.Minute
)

// A Script is one scenario, read and understood.
type Script struct {
	// Title is the first line.
	Title string
	// Why is the prose before the steps; paragraphs are an empty line apart.
	Why string
	// Steps in order. Those that set the scene come first.
	Steps []Step
}

// A Step is one sentence.
type Step struct {
	// Line in the file, from 1.
	Line int
	// Text is the sentence as written, without the deadline.
	Text string
	// Phrase that the sentence is, as an index into Vocabulary.Phrases.
	Phrase int
	// Kind of the phrase.
	Kind Kind
	// Args are the values of its slots.
	Args Args
	// Within is the deadline that was written behind the sentence; zero if
	// none was.
	Within time.Duration
}

// An Error is a mistake in a script.
type Error struct {
	Line int // from 1; 0 where the mistake is what the script lacks
	Err  error
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("line %d: %v", e.Line, e.Err)
}

// Unwrap returns what is wrong, without the line.
func (e *Error) Unwrap() error { return e.Err }
