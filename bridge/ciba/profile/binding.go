package profile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Binding is what a binding message may be.
type Binding struct {
	// Alphabet are the characters that are allowed; "" for all that can be printed.
	Alphabet string
	// Longest is how many characters there may be; 0 if no limit is known.
	Longest int
	// Required says that there must be one.
	Required bool
}

// Check reports what is wrong with a message; "" is none. The error does not
// quote it.
func (b Binding) Check(message string) error {
	switch n := utf8.RuneCountInString(message); {
	case message == "" && b.Required:
		return errors.New("is missing")
	case b.Longest > 0 && n > b.Longest:
		return fmt.Errorf("has %d characters, at most %d are allowed", n, b.Longest)
	case b.Alphabet != "" && strings.ContainsFunc(message, func(c rune) bool { return !strings.ContainsRune(b.Alphabet, c) }):
		return fmt.Errorf("has a character that is not one of %q", b.Alphabet)
	}
	return nil
}

const (
	// speakable has 24 digits and letters that are told apart when read or spoken: no
	// vowels, which could make words, and none of 0, 1, L, S, U, V, Z.
	speakable = "23456789BCDFGHJKMNPQRTWX"
	// choices is how many different messages there are at least, as far as Longest
	// permits: as many as six characters of speakable make.
	choices = 24 * 24 * 24 * 24 * 24 * 24
	// groupSize is how many characters are read at a glance.
	groupSize = 3
)

// New returns a random message that Check accepts, such as "4K7-P2X": short
// enough to compare at a glance, and one of 191 million (24 to the sixth). Where
// the hyphen or most of these characters are not allowed it is longer, without
// hyphens, or in small letters.
func (b Binding) New() string {
	chars := b.characters()
	n := 0
	for left := choices; left > 1; left = (left + len(chars) - 1) / len(chars) {
		n++
	}
	if b.Longest > 0 {
		n = min(n, b.Longest)
	}
	hyphens := (n - 1) / groupSize
	if b.Check("-") != nil || b.Longest > 0 && n+hyphens > b.Longest {
		hyphens = 0
	}
	var message strings.Builder
	for i := range n {
		if hyphens > 0 && i > 0 && i%groupSize == 0 {
			message.WriteByte('-')
		}
		message.WriteByte(chars[randomBelow(len(chars))])
	}
	return message.String()
}

// characters returns those that New takes.
func (b Binding) characters() string {
	allowed := func(c rune) rune {
		if b.Alphabet != "" && !strings.ContainsRune(b.Alphabet, c) {
			return -1
		}
		return c
	}
	for _, chars := range []string{speakable, strings.ToLower(speakable)} {
		if chars = strings.Map(allowed, chars); len(chars) > 1 {
			return chars
		}
	}
	return speakable
}

// randomBelow returns a uniformly random number in [0, n), n < 256.
func randomBelow(n int) int {
	var b [1]byte
	for {
		rand.Read(b[:])
		if int(b[0]) < 256-256%n {
			return int(b[0]) % n
		}
	}
}
