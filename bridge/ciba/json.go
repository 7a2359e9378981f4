package ciba

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// An object is a JSON object without repeated members, whose member names are
// case-sensitive. A member that is null is one that is missing. Values are parts
// of what was parsed, not copies.
type object map[string]json.RawMessage

var (
	errNotUTF8   = errors.New("body is not valid UTF-8")
	errNotObject = errors.New("body is not one JSON object with unique members")
)

// parseObject does not wrap the decoder's error, which may quote the input.
//
// It does not decode into a map, as encoding/json would let the last of two
// members with one name win, where another reader takes the first.
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, errNotUTF8
	}
	if !json.Valid(data) {
		return nil, errNotObject
	}
	c := cursor{json: data}
	if c.skipBlanks(); c.here() != '{' {
		return nil, errNotObject
	}
	o, ok := c.object()
	if !ok {
		return nil, errNotObject
	}
	for name, value := range o {
		if string(value) == "null" {
			delete(o, name)
		}
	}
	return o, nil
}

// text returns a string member of at most limit bytes, "" if it is missing.
func (o object) text(name string, limit int) (string, error) {
	raw, ok := o[name]
	if !ok {
		return "", nil
	}
	s, ok := unquote(raw)
	if !ok {
		return "", fmt.Errorf("member %q is not a string", name)
	}
	if len(s) > limit {
		return "", fmt.Errorf("member %q has %d bytes, at most %d are allowed", name, len(s), limit)
	}
	return s, nil
}

// seconds returns a member that counts whole seconds, from least to most.
func (o object) seconds(name string, least int64, most time.Duration) (d time.Duration, ok bool, err error) {
	raw, ok := o[name]
	if !ok {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	limit := int64(most / time.Second)
	if err != nil || n < least || n > limit {
		return 0, false, fmt.Errorf("member %q is not a whole number from %d to %d", name, least, limit)
	}
	return time.Duration(n) * time.Second, true, nil
}

// date returns a NumericDate member (RFC 7519 section 2), which may have a
// fraction.
func (o object) date(name string) (t time.Time, ok bool, err error) {
	raw, ok := o[name]
	if !ok {
		return time.Time{}, false, nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || !(f >= 0 && f < maxDate) {
		return time.Time{}, false, errors.New("is not a NumericDate")
	}
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e9)), true, nil
}

// maxDate is the end of the year 9999.
const maxDate = 253402300800

// strings returns a member that is an array of strings, nil if it is missing.
func (o object) strings(name string) ([]string, error) {
	raw, ok := o[name]
	if !ok {
		return nil, nil
	}
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil {
		return nil, fmt.Errorf("member %q is not an array of strings", name)
	}
	list := make([]string, len(elements))
	for i, e := range elements {
		s, ok := unquote(e)
		if !ok {
			return nil, fmt.Errorf("member %q is not an array of strings", name)
		}
		list[i] = s
	}
	return list, nil
}

// unquote returns the string that raw, one valid JSON value, is. Without an
// escape, which is the rule, it is what stands between the quotes.
func unquote(raw json.RawMessage) (s string, ok bool) {
	if raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// flag returns a boolean member, false if it is missing.
func (o object) flag(name string) (bool, error) {
	switch string(o[name]) {
	case "":
		return false, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("member %q is not a boolean", name)
}

// word quotes what a provider wrote if it is one of a vocabulary, in whatever
// case. Other words are not repeated: a provider may write anything anywhere, a
// token or a person's address too, and errors end in logs.
func word(s string, vocabulary []string) string {
	if s == "" {
		return "missing"
	}
	for _, w := range vocabulary {
		if strings.EqualFold(s, w) {
			return strconv.Quote(s)
		}
	}
	return "something else"
}

// some quotes the beginning of a list that a provider wrote.
func some(list []string) string {
	const many, long = 8, 32
	var b strings.Builder
	for i, s := range list {
		if i == many {
			fmt.Fprintf(&b, " and %d more", len(list)-many)
			break
		}
		fmt.Fprintf(&b, " %q", printable(s, long))
	}
	return "[" + strings.TrimPrefix(b.String(), " ") + "]"
}

// printable returns at most limit bytes of s, each unprintable character
// replaced, for text that a stranger wrote.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
