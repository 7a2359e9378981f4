package store

import (
	"fmt"
	"strings"
)

// A column has a name and a type in SQL.
type column struct{ name, kind string }

// bytes stands for the type of bytes, whose name depends on the dialect.
const bytes = "bytes"

// given begins a statement about rows of values, at least one: it may read them as
// the table v, in which the last one may be repeated. The statement is the same for
// numbers of rows up to the next power of two, so that few have to be prepared.
func (d dialect) given(columns []column, rows [][]any) (statement string, args []any) {
	n := 1
	for n < len(rows) {
		n *= 2
	}
	args = make([]any, 0, n*len(columns))
	var q strings.Builder
	q.WriteString("WITH v (")
	for i, c := range columns {
		q.WriteString(separator(i) + c.name)
	}
	q.WriteString(") AS (VALUES ")
	for r := range n {
		q.WriteString(separator(r) + "(")
		for i, c := range columns {
			q.WriteString(separator(i) + d.param(len(args)+i+1, r == 0, c))
		}
		q.WriteString(")")
		args = append(args, rows[min(r, len(rows)-1)]...)
	}
	q.WriteString(") ")
	return q.String(), args
}

// param is the parameter of that number. Those of the first row say what the types
// of all are.
func (d dialect) param(number int, typed bool, c column) string {
	name := d.inOrder
	if name == "" {
		name = fmt.Sprintf("$%d", number)
	}
	if typed {
		return "CAST(" + name + " AS " + strings.Replace(c.kind, bytes, d.blob, 1) + ")"
	}
	return name
}

func separator(i int) string {
	if i == 0 {
		return ""
	}
	return ", "
}

// put runs a statement about rows whose answer nobody needs.
func (t *tx) put(columns []column, rows [][]any, statement string) error {
	given, args := t.given(columns, rows)
	return t.later(given+statement, args, nothing)
}

// nothing is what there is to scan where nobody needs the answer.
func nothing(row) error { return nil }
