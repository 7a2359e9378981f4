package vehicle

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode"
	"unicode/utf8"
)

// ErrNoSignal means that this vehicle does not have the signal at all.
var ErrNoSignal = errors.New("the vehicle has no such signal")

// A Type is a VSS datatype.
type Type string

// The datatypes that occur in the catalog.
const (
	Boolean Type = "boolean"
	Int8    Type = "int8"
	Uint8   Type = "uint8"
	Uint16  Type = "uint16"
	Float   Type = "float"
	String  Type = "string"
)

// A Form is what a text must look like where VSS says so only in words.
type Form string

// The forms.
const (
	Plain Form = ""      // anything printable
	Color Form = "color" // #RRGGBB
)

// maxText bounds a text without a list of allowed ones, in bytes.
const maxText = 512

// A Signal says what may be written to one path.
type Signal struct {
	Path     string
	Type     Type
	Min, Max float64  // of a number, inclusive
	Allowed  []string // of a text; nil allows every text of the Form
	Form     Form     // of a text
	Actuator bool     // may be set; a sensor may not
	Moves    bool     // setting it moves a seat or a mirror
	Own      bool     // Min or Max is Carillon's: VSS 6 has none
	Unit     string   // as VSS names it, or ""

	rest Value // what a Memory begins with
}

// Check reports whether v may be written to the signal.
func (s Signal) Check(v Value) error {
	if !s.Actuator {
		return fmt.Errorf("%s is a sensor, it cannot be set", s.Path)
	}
	return s.checkValue(v)
}

func (s Signal) checkValue(v Value) error {
	switch s.Type {
	case Boolean:
		if _, ok := v.Bool(); !ok {
			return fmt.Errorf("%s: %s, want a boolean", s.Path, v.kind())
		}
		return nil
	case String:
		return s.checkText(v)
	}
	f, ok := v.Number()
	if !ok {
		return fmt.Errorf("%s: %s, want a number", s.Path, v.kind())
	}
	if s.Type != Float && f != math.Trunc(f) {
		return fmt.Errorf("%s: %v, want a whole number (%s)", s.Path, v, s.Type)
	}
	if f < s.Min || f > s.Max {
		return fmt.Errorf("%s: %v, want %v to %v", s.Path, v, Number(s.Min), Number(s.Max))
	}
	return nil
}

func (s Signal) checkText(v Value) error {
	t, ok := v.Text()
	switch {
	case !ok:
		return fmt.Errorf("%s: %s, want a text", s.Path, v.kind())
	case s.Allowed != nil:
		if !slices.Contains(s.Allowed, t) {
			return fmt.Errorf("%s: %.40q, want one of %q", s.Path, t, s.Allowed)
		}
	case s.Form == Color:
		if !isColor(t) {
			return fmt.Errorf("%s: %.40q, want a color as #RRGGBB", s.Path, t)
		}
	case len(t) > maxText:
		return fmt.Errorf("%s: text of %d bytes, limit %d", s.Path, len(t), maxText)
	default:
		return checkPrintable(s.Path, t)
	}
	return nil
}

func isColor(t string) bool {
	if len(t) != 7 || t[0] != '#' {
		return false
	}
	for _, c := range []byte(t[1:]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// checkPrintable also keeps out what a signal server downstream might splice
// into its own messages unescaped: quotes and backslashes.
func checkPrintable(path, t string) error {
	if !utf8.ValidString(t) {
		return fmt.Errorf("%s: text is not UTF-8", path)
	}
	for _, r := range t {
		if !unicode.IsPrint(r) || r == '"' || r == '\\' {
			return fmt.Errorf("%s: text contains %q", path, r)
		}
	}
	return nil
}
