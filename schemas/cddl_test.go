package schemas_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// As much of CDDL (RFC 8610) as carillon.cddl uses: rules of types and groups,
// choices, occurrences, ranges, .size, .regexp, .cbor, .and and &(...).

type cddl map[string]*cddlNode

// A cddlNode is a type, a group, or an entry of one; op says which.
type cddlNode struct {
	op       string
	text     string // name, text or member name
	num      int64
	kids     []*cddlNode
	key      *cddlNode // of an entry
	min, max int       // occurrences of an entry
}

type cddlParser struct {
	tokens []string
	at     int
}

var cddlToken = regexp.MustCompile(`;[^\n]*|"(?:[^"\\]|\\.)*"|\.(?:size|regexp|cbor|and)\b|\.\.|=>|//|-?[0-9]+|[A-Za-z_][A-Za-z0-9_-]*|[][(){}=/:?*&,]|\s+|.`)

// parseCDDL panics where the text is not of the subset.
func parseCDDL(text string) cddl {
	p := &cddlParser{}
	for _, token := range cddlToken.FindAllString(text, -1) {
		if c := token[0]; c != ';' && strings.TrimSpace(token) != "" {
			p.tokens = append(p.tokens, token)
		}
	}
	rules := cddl{}
	for p.at < len(p.tokens) {
		name := p.next()
		p.want("=")
		if rules[name] != nil {
			panic("two rules " + name)
		}
		start := p.at
		rules[name] = p.try((*cddlParser).typ)
		if rules[name] == nil || p.at < len(p.tokens) && p.peek(1) != "=" {
			p.at = start
			rules[name] = p.entry()
		}
	}
	return rules
}

func (p *cddlParser) peek(n int) string {
	if p.at+n < len(p.tokens) {
		return p.tokens[p.at+n]
	}
	return ""
}

func (p *cddlParser) next() string { p.at++; return p.tokens[p.at-1] }

func (p *cddlParser) want(token string) {
	if got := p.next(); got != token {
		panic(fmt.Sprintf("%q where %q is wanted, before %q", got, token, strings.Join(p.tokens[p.at:min(p.at+8, len(p.tokens))], " ")))
	}
}

func (p *cddlParser) accept(token string) bool {
	if p.peek(0) == token {
		p.at++
		return true
	}
	return false
}

// try parses, or gives up and goes back.
func (p *cddlParser) try(f func(*cddlParser) *cddlNode) (n *cddlNode) {
	start := p.at
	defer func() {
		if recover() != nil {
			p.at, n = start, nil
		}
	}()
	return f(p)
}

func (p *cddlParser) typ() *cddlNode {
	n := &cddlNode{op: "choice", kids: []*cddlNode{p.type1()}}
	for p.accept("/") {
		n.kids = append(n.kids, p.type1())
	}
	return n
}

func (p *cddlParser) type1() *cddlNode {
	left := p.type2()
	switch op := p.peek(0); op {
	case "..", ".size", ".regexp", ".cbor", ".and":
		p.at++
		return &cddlNode{op: op, kids: []*cddlNode{left, p.type2()}}
	}
	return left
}

func (p *cddlParser) type2() *cddlNode {
	token := p.next()
	switch {
	case token == "(":
		n := p.typ()
		p.want(")")
		return n
	case token == "{":
		return p.group("map", "}")
	case token == "[":
		return p.group("array", "]")
	case token == "&":
		p.want("(")
		return p.group("enum", ")")
	case token[0] == '"':
		return &cddlNode{op: "text", text: strings.ReplaceAll(token[1:len(token)-1], `\\`, `\`)}
	case token[0] == '-' || token[0] >= '0' && token[0] <= '9':
		return &cddlNode{op: "number", num: try(strconv.ParseInt(token, 10, 64))}
	case regexp.MustCompile(`^[A-Za-z_]`).MatchString(token):
		return &cddlNode{op: "name", text: token}
	}
	panic("type wanted, got " + token)
}

// group reads entries up to end; its kids are the alternatives of "//".
func (p *cddlParser) group(op, end string) *cddlNode {
	n := &cddlNode{op: op}
	alternative := &cddlNode{op: "sequence"}
	for !p.accept(end) {
		if p.accept("//") {
			n.kids = append(n.kids, alternative)
			alternative = &cddlNode{op: "sequence"}
			continue
		}
		alternative.kids = append(alternative.kids, p.entry())
		p.accept(",")
	}
	n.kids = append(n.kids, alternative)
	return n
}

func (p *cddlParser) entry() *cddlNode {
	e := &cddlNode{op: "entry", min: 1, max: 1}
	if p.accept("?") {
		e.min = 0
	} else if p.peek(1) == "*" {
		e.min = try(strconv.Atoi(p.next()))
		p.want("*")
		e.max = try(strconv.Atoi(p.next()))
	}
	if p.peek(0) == "(" {
		start := p.at
		if t := p.try((*cddlParser).typ); t != nil && p.peek(0) != "=>" {
			e.kids = []*cddlNode{t}
			return e
		}
		p.at = start
		p.want("(")
		e.kids = []*cddlNode{p.group("group", ")")}
		return e
	}
	if p.peek(1) == ":" {
		e.text = p.next()
		p.want(":")
	} else if key := p.try(func(p *cddlParser) *cddlNode { k := p.type1(); p.want("=>"); return k }); key != nil {
		e.key = key
	}
	e.kids = []*cddlNode{p.typ()}
	return e
}
