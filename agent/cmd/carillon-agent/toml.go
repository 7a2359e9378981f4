package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxLine bounds a line of a configuration file, in bytes.
const maxLine = 64 << 10

// parseTOML reads the part of TOML 1.0 that a list of flags needs: lines of
// key = value, where the key is bare and the value a string on one line, an
// integer or a boolean; comments and blank lines. What it accepts means the
// same to every TOML parser, and all else is an error. A whole parser would add
// 270 kB to the agent.
func parseTOML(r io.Reader, set func(name, value string) error) error {
	seen := map[string]bool{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		name, value, err := parseLine(lines.Text())
		if err == nil && name != "" {
			if seen[name] {
				err = fmt.Errorf("%q is set twice", name)
			} else {
				seen[name] = true
				err = set(name, value)
			}
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return lines.Err()
}

// parseLine returns no name for a line that sets nothing.
func parseLine(line string) (name, value string, err error) {
	if !utf8.ValidString(line) {
		return "", "", errors.New("not UTF-8")
	}
	if i := strings.IndexFunc(line, isControl); i >= 0 {
		return "", "", fmt.Errorf("control character %q", line[i])
	}
	line = strings.Trim(line, " \t")
	if line == "" || line[0] == '#' {
		return "", "", nil
	}
	if line[0] == '[' {
		return "", "", fmt.Errorf("%.40q begins a table, want only key = value", line)
	}
	name, rest, ok := strings.Cut(line, "=")
	name = strings.Trim(name, " \t")
	if !ok || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return "", "", fmt.Errorf("%.40q is not key = value", line)
	}
	value, rest, err = parseValue(strings.Trim(rest, " \t"))
	if err != nil {
		return "", "", fmt.Errorf("%q: %w", name, err)
	}
	if rest = strings.Trim(rest, " \t"); rest != "" && rest[0] != '#' {
		return "", "", fmt.Errorf("%q: %.40q follows the value", name, rest)
	}
	return name, value, nil
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// parseValue returns a value and what follows it.
func parseValue(s string) (value, rest string, err error) {
	switch {
	case strings.HasPrefix(s, `"""`), strings.HasPrefix(s, "'''"):
		return "", "", errors.New("a string must be on one line")
	case strings.HasPrefix(s, "'"):
		value, rest, ok := strings.Cut(s[1:], "'")
		if !ok {
			return "", "", errors.New("the string has no end")
		}
		return value, rest, nil
	case strings.HasPrefix(s, `"`):
		return parseString(s[1:])
	}
	end := strings.IndexAny(s, " \t#")
	if end < 0 {
		end = len(s)
	}
	value, rest = s[:end], s[end:]
	if value == "true" || value == "false" {
		return value, rest, nil
	}
	digits := strings.TrimPrefix(value, "-")
	if _, err := strconv.ParseInt(value, 10, 64); err != nil || len(digits) > 1 && digits[0] == '0' || value[0] == '+' {
		return "", "", fmt.Errorf("%.40q is no string in quotes, no integer and no boolean", value)
	}
	return value, rest, nil
}

var escapes = map[byte]byte{'b': '\b', 't': '\t', 'n': '\n', 'f': '\f', 'r': '\r', '"': '"', '\\': '\\'}

// parseString reads a basic string behind its opening quote.
func parseString(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			i++
			if i == len(s) || escapes[s[i]] == 0 {
				return "", "", errors.New(`the string has an escape other than \" \\ \b \f \n \r \t`)
			}
			b.WriteByte(escapes[s[i]])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("the string has no end")
}
