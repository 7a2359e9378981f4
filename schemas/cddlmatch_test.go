package schemas_test

import (
	"regexp"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// cddlDecode reads any CBOR; numbers become int64.
var cddlDecode = func() cbor.DecMode {
	return try(cbor.DecOptions{IntDec: cbor.IntDecConvertSignedOrBigInt, DupMapKey: cbor.DupMapKeyEnforcedAPF}.DecMode())
}()

// matches reports whether the bytes are an item of the rule.
func (c cddl) matches(rule string, data []byte) bool {
	var v any
	return cddlDecode.Unmarshal(data, &v) == nil && c.match(&cddlNode{op: "name", text: rule}, v)
}

func (c cddl) match(n *cddlNode, v any) bool {
	switch n.op {
	case "name":
		return c.named(n.text, v)
	case "entry": // a rule that could also have been a group
		return c.match(n.kids[0], v)
	case "choice":
		for _, k := range n.kids {
			if c.match(k, v) {
				return true
			}
		}
		return false
	case "number":
		return v == n.num
	case "text":
		return v == n.text
	case "enum":
		for _, e := range n.kids[0].kids {
			if c.match(e.kids[0], v) {
				return true
			}
		}
		return false
	case "map":
		m, ok := v.(map[any]any)
		return ok && c.inMap(n, m, map[any]bool{}, func(used map[any]bool) bool { return len(used) == len(m) })
	case "array":
		a, ok := v.([]any)
		return ok && c.inArray(n, a, func(rest []any) bool { return len(rest) == 0 })
	}
	return c.controlled(n, v)
}

func (c cddl) named(name string, v any) bool {
	switch name {
	case "bstr":
		_, ok := v.([]byte)
		return ok
	case "tstr":
		s, ok := v.(string)
		return ok && utf8.ValidString(s)
	case "true":
		return v == true
	}
	if c[name] == nil {
		panic("no rule " + name)
	}
	return c.match(c[name], v)
}

func (c cddl) controlled(n *cddlNode, v any) bool {
	if n.op == ".." {
		x, ok := v.(int64)
		return ok && x >= n.kids[0].num && x <= n.kids[1].num
	}
	if !c.match(n.kids[0], v) {
		return false
	}
	switch control := n.kids[1]; n.op {
	case ".size":
		size := 0
		switch v := v.(type) {
		case []byte:
			size = len(v)
		case string:
			size = len(v)
		}
		return c.match(control, int64(size))
	case ".regexp":
		return regexp.MustCompile("^(?:" + control.text + ")$").MatchString(v.(string))
	case ".cbor":
		var inner any
		return cddlDecode.Unmarshal(v.([]byte), &inner) == nil && c.match(control, inner)
	case ".and":
		return c.match(control, v)
	}
	panic("operator " + n.op)
}

// alternatives returns the sequences that a group, or the group behind a name,
// may be; nil where n is a type.
func (c cddl) alternatives(n *cddlNode) []*cddlNode {
	for n.op == "choice" && len(n.kids) == 1 {
		n = n.kids[0]
	}
	switch n.op {
	case "group", "map", "array":
		return n.kids
	case "name":
		if rule := c[n.text]; rule != nil && rule.op == "entry" {
			return c.alternatives(rule.kids[0])
		}
	}
	return nil
}

// inMap matches the alternatives of a group against pairs that are not used
// yet, and asks done about each way in which that succeeds.
func (c cddl) inMap(group *cddlNode, m map[any]any, used map[any]bool, done func(map[any]bool) bool) bool {
	for _, sequence := range c.alternatives(group) {
		if c.entriesInMap(sequence.kids, m, used, done) {
			return true
		}
	}
	return false
}

func (c cddl) entriesInMap(entries []*cddlNode, m map[any]any, used map[any]bool, done func(map[any]bool) bool) bool {
	if len(entries) == 0 {
		return done(used)
	}
	e := entries[0]
	rest := func(used map[any]bool) bool { return c.entriesInMap(entries[1:], m, used, done) }
	if e.key == nil {
		if c.inMap(e.kids[0], m, used, rest) {
			return true
		}
	} else {
		for k, v := range m {
			if !used[k] && c.match(e.key, k) && c.match(e.kids[0], v) {
				more := map[any]bool{k: true}
				for u := range used {
					more[u] = true
				}
				if rest(more) {
					return true
				}
			}
		}
	}
	return e.min == 0 && rest(used)
}

func (c cddl) inArray(group *cddlNode, a []any, done func([]any) bool) bool {
	for _, sequence := range c.alternatives(group) {
		if c.entriesInArray(sequence.kids, 0, a, done) {
			return true
		}
	}
	return false
}

// entriesInArray has matched the first entry count times already.
func (c cddl) entriesInArray(entries []*cddlNode, count int, a []any, done func([]any) bool) bool {
	if len(entries) == 0 {
		return done(a)
	}
	e := entries[0]
	if count < e.max && len(a) > 0 && c.match(e.kids[0], a[0]) && c.entriesInArray(entries, count+1, a[1:], done) {
		return true
	}
	return count >= e.min && c.entriesInArray(entries[1:], 0, a, done)
}
