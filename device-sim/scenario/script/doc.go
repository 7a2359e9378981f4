// Package script reads the language in which scenarios are written: one plain
// sentence a line, under a title and a paragraph that says why the scenario
// exists.
//
//	A driver says no
//
//	A refusal must reach the car at once, and change nothing in it.
//
//	    the blue car asks Anna for seat
//	    Anna denies
//	    the blue car is refused: access denied within 3 s
//
// The first line is the title. The lines up to the first indented one are
// prose, and there must be some. Each indented line is a step, and each step is
// a sentence of the vocabulary; once the steps have begun, a line that is not
// indented is a mistake. Blank lines, and lines that begin with #, say nothing.
//
// A vocabulary is a list of phrases with slots, such as "the {car} car asks
// {person} for {scopes}". The package knows nothing of cars: what fits a slot is
// told by the vocabulary too. Nothing is guessed. A sentence that no phrase
// fits, or more than one, is an error with its line number, and so is a word
// that does not fit its slot.
package script
