package api_test

import (
	"fmt"
	"strings"
)

// parseYAML reads the YAML that schemas/agent-api.yaml is written in: block
// maps and sequences, flow maps and sequences on one line, quoted and plain
// scalars, folded text. Everything else is an error. Maps become
// map[string]any, sequences []any, all scalars strings.
func parseYAML(text string) (any, error) {
	p := &yaml{}
	for i, line := range strings.Split(text, "\n") {
		body := strings.TrimLeft(line, " ")
		if body == "" || body[0] == '#' {
			continue
		}
		if strings.Contains(line, "\t") {
			return nil, fmt.Errorf("line %d: tab", i+1)
		}
		p.lines = append(p.lines, yamlLine{i + 1, len(line) - len(body), body})
	}
	v, err := p.block(0)
	if err == nil && p.next < len(p.lines) {
		err = fmt.Errorf("line %d: indented differently", p.lines[p.next].number)
	}
	return v, err
}

type yamlLine struct {
	number, indent int
	text           string
}

type yaml struct {
	lines []yamlLine
	next  int
}

// block reads the map or sequence whose lines are indented by exactly indent.
func (p *yaml) block(indent int) (any, error) {
	if strings.HasPrefix(p.lines[p.next].text, "- ") {
		var list []any
		for p.next < len(p.lines) && p.lines[p.next].indent == indent {
			line := p.lines[p.next]
			item, ok := strings.CutPrefix(line.text, "- ")
			if !ok {
				return nil, fmt.Errorf("line %d: want another item", line.number)
			}
			p.next++
			v, err := flow(item)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", line.number, err)
			}
			list = append(list, v)
		}
		return list, nil
	}
	m := map[string]any{}
	for p.next < len(p.lines) && p.lines[p.next].indent == indent {
		line := p.lines[p.next]
		p.next++
		key, rest, err := cutKey(line.text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line.number, err)
		}
		if _, dup := m[key]; dup {
			return nil, fmt.Errorf("line %d: %q twice", line.number, key)
		}
		if m[key], err = p.value(rest, indent); err != nil {
			return nil, fmt.Errorf("line %d: %w", line.number, err)
		}
	}
	return m, nil
}

// value reads what stands behind a key, or below it.
func (p *yaml) value(rest string, indent int) (any, error) {
	deeper := p.next < len(p.lines) && p.lines[p.next].indent > indent
	switch {
	case rest == ">-":
		var words []string
		for p.next < len(p.lines) && p.lines[p.next].indent > indent {
			words = append(words, p.lines[p.next].text)
			p.next++
		}
		return strings.Join(words, " "), nil
	case rest != "":
		return flow(rest)
	case deeper:
		return p.block(p.lines[p.next].indent)
	}
	return nil, fmt.Errorf("a key without a value")
}

func cutKey(text string) (key, rest string, err error) {
	if quoted, ok := strings.CutPrefix(text, `"`); ok {
		key, rest, ok = strings.Cut(quoted, `":`)
		if !ok {
			return "", "", fmt.Errorf("%q is no key", text)
		}
		return key, strings.TrimSpace(rest), nil
	}
	if key, ok := strings.CutSuffix(text, ":"); ok {
		return key, "", nil
	}
	key, rest, ok := strings.Cut(text, ": ")
	if !ok {
		return "", "", fmt.Errorf("%q is no key", text)
	}
	return key, strings.TrimSpace(rest), nil
}

// flow reads a value that stands on one line.
func flow(text string) (any, error) {
	v, rest, err := flowValue(text, "")
	if err == nil && strings.TrimSpace(rest) != "" {
		err = fmt.Errorf("%q follows a value", rest)
	}
	return v, err
}

// flowValue reads a value that ends before one of the characters of ends.
func flowValue(s, ends string) (v any, rest string, err error) {
	s = strings.TrimLeft(s, " ")
	switch {
	case strings.HasPrefix(s, "{"):
		return flowMap(s[1:])
	case strings.HasPrefix(s, "["):
		return flowList(s[1:])
	case strings.HasPrefix(s, `"`):
		v, rest, ok := strings.Cut(s[1:], `"`)
		if !ok || strings.Contains(v, `\`) {
			return nil, "", fmt.Errorf("bad string %q", s)
		}
		return v, rest, nil
	}
	end := len(s)
	if ends != "" {
		if i := strings.IndexAny(s, ends); i >= 0 {
			end = i
		}
	}
	plain := strings.TrimSpace(s[:end])
	if plain == "" || strings.ContainsAny(plain[:1], "&*!|>'%@`") || strings.Contains(plain, ": ") || strings.Contains(plain, " #") {
		return nil, "", fmt.Errorf("bad plain scalar %q", plain)
	}
	return plain, s[end:], nil
}

func flowMap(s string) (any, string, error) {
	m := map[string]any{}
	for {
		s = strings.TrimLeft(s, " ")
		if rest, ok := strings.CutPrefix(s, "}"); ok && len(m) == 0 {
			return m, rest, nil
		}
		key, rest, ok := strings.Cut(s, ": ")
		if !ok || strings.ContainsAny(key, "{}[],") {
			return nil, "", fmt.Errorf("bad map %q", s)
		}
		v, rest, err := flowValue(rest, ",}")
		if err != nil {
			return nil, "", err
		}
		m[strings.Trim(key, `"`)] = v
		rest = strings.TrimLeft(rest, " ")
		if done, ok := strings.CutPrefix(rest, "}"); ok {
			return m, done, nil
		}
		if s, ok = strings.CutPrefix(rest, ","); !ok {
			return nil, "", fmt.Errorf("map goes on with %q", rest)
		}
	}
}

func flowList(s string) (any, string, error) {
	list := []any{}
	for {
		s = strings.TrimLeft(s, " ")
		if rest, ok := strings.CutPrefix(s, "]"); ok && len(list) == 0 {
			return list, rest, nil
		}
		v, rest, err := flowValue(s, ",]")
		if err != nil {
			return nil, "", err
		}
		list = append(list, v)
		rest = strings.TrimLeft(rest, " ")
		if done, ok := strings.CutPrefix(rest, "]"); ok {
			return list, done, nil
		}
		var ok bool
		if s, ok = strings.CutPrefix(rest, ","); !ok {
			return nil, "", fmt.Errorf("list goes on with %q", rest)
		}
	}
}
