package vehicle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// A Value is what a signal carries: a boolean, a number or a text. Integers of
// every VSS datatype are exact. Values may be compared with ==. The zero Value
// is no value: a signal that is there but says nothing yet.
type Value struct {
	v any // nil, bool, float64 or string
}

// Bool returns a boolean.
func Bool(b bool) Value { return Value{b} }

// Number returns a number. What is not finite is no value.
func Number(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return Value{f}
}

// Text returns a text.
func Text(s string) Value { return Value{s} }

// IsZero reports whether v is no value.
func (v Value) IsZero() bool { return v.v == nil }

// Bool returns the boolean, and whether v is one.
func (v Value) Bool() (b, ok bool) { b, ok = v.v.(bool); return b, ok }

// Number returns the number, and whether v is one.
func (v Value) Number() (f float64, ok bool) { f, ok = v.v.(float64); return f, ok }

// Text returns the text, and whether v is one.
func (v Value) Text() (s string, ok bool) { s, ok = v.v.(string); return s, ok }

// String returns the value as VISS writes it: true, 21.5, a text as it is.
func (v Value) String() string {
	switch x := v.v.(type) {
	case bool:
		return strconv.FormatBool(x)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case string:
		return x
	}
	return ""
}

// kind names the type of v for an error.
func (v Value) kind() string {
	switch v.v.(type) {
	case bool:
		return "a boolean"
	case float64:
		return "a number"
	case string:
		return "a text"
	}
	return "no value"
}

// MarshalJSON writes a JSON boolean, number or string; null for no value.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(v.v) }

// UnmarshalJSON accepts a JSON boolean, number or string, and null for no
// value. Objects and arrays are refused: no signal of the catalog has one.
func (v *Value) UnmarshalJSON(data []byte) error {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return errors.New("value is empty")
	}
	switch c := data[0]; {
	case c == '{' || c == '[':
		return fmt.Errorf("value is a JSON object or array, want a boolean, a number or a string")
	case c == 'n':
		*v = Value{}
		return nil
	}
	var x any
	if err := json.Unmarshal(data, &x); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	v.v = x
	return nil
}
