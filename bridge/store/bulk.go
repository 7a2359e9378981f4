package store

import (
	"fmt"
	"strings"
)

// A bulk is a change of one request that many writes may ask for at the same
// time, each with values of its own: one statement makes it for all of them.
type bulk struct {
	columns []column // of the values, which begin with the request's device and id
	change  string   // SET clause, in which v has the values
	where   string   // what must be true of a request besides
}

// A column has a name and a type in SQL.
type column struct{ name, kind string }

// bytes stands for the type of bytes, whose name depends on the dialect.
const bytes = "bytes"

// maxRows is how many rows a statement changes at most. Statements are made for
// powers of two, so that few have to be prepared.
const maxRows = 128

// statement changes as many requests as there are rows of values, and returns
// the keys of those that it has changed.
func (b *bulk) statement(rows int, d dialect) string {
	var q strings.Builder
	q.WriteString("WITH v (")
	for i, c := range b.columns {
		q.WriteString(separator(i) + c.name)
	}
	q.WriteString(") AS (VALUES ")
	for r := range rows {
		q.WriteString(separator(r) + "(")
		for i, c := range b.columns {
			param := d.inOrder
			if param == "" {
				param = fmt.Sprintf("$%d", r*len(b.columns)+i+1)
			}
			if r == 0 { // the types of the first row are those of all
				param = "CAST(" + param + " AS " + strings.Replace(c.kind, bytes, d.blob, 1) + ")"
			}
			q.WriteString(separator(i) + param)
		}
		q.WriteString(")")
	}
	device, id := b.columns[0].name, b.columns[1].name
	q.WriteString(") UPDATE requests SET " + b.change + " FROM v WHERE requests.device = v." + device + " AND requests.id = v." + id +
		" AND " + b.where + " RETURNING requests.device, requests.id")
	return q.String()
}

func separator(i int) string {
	if i == 0 {
		return ""
	}
	return ", "
}

// bulks makes the changes of a batch that are rows of a bulk.
func (t *tx) bulks(batch []*write) error {
	rows := make(map[*bulk][]*write)
	for _, w := range batch {
		if w.bulk != nil {
			rows[w.bulk] = append(rows[w.bulk], w)
		}
	}
	for b, writes := range rows {
		for len(writes) > 0 {
			now, later := distinct(writes)
			if err := t.bulk(b, now); err != nil {
				return err
			}
			writes = later
		}
	}
	return nil
}

// distinct takes from writes as many as one statement changes, at most one of
// each request.
func distinct(writes []*write) (now, later []*write) {
	keys := make(map[Key]bool)
	for _, w := range writes {
		if keys[w.key] || len(now) == maxRows {
			later = append(later, w)
			continue
		}
		keys[w.key] = true
		now = append(now, w)
	}
	return now, later
}

// bulk makes changes of different requests in one statement, and says of each
// whether it was made.
func (t *tx) bulk(b *bulk, writes []*write) error {
	rows := 1
	for rows < len(writes) {
		rows *= 2
	}
	args := make([]any, 0, rows*len(b.columns))
	for i := range rows { // the last one is repeated, which changes nothing more
		w := writes[min(i, len(writes)-1)]
		args = append(append(args, w.key.Device, w.key.ID[:]), w.values...)
	}
	made := make(map[Key]bool, len(writes))
	err := t.each(b.statement(rows, t.dialect), args, func(from row) error {
		var k Key
		var id []byte
		err := from.Scan(&k.Device, &id)
		copy(k.ID[:], id)
		made[k] = true
		return err
	})
	for _, w := range writes {
		w.made = made[w.key]
	}
	return err
}
