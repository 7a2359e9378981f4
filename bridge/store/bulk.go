package store

import "context"

// A bulk is a change of requests that one statement makes for many of them, each
// with values of its own.
type bulk struct {
	columns []column // of the values, which begin with the request's device and id
	change  string   // SET clause, in which v has the values
	where   string   // what must be true of a request besides
}

// statement changes as many requests as there are rows of values, and returns the
// keys of those that it has changed.
func (b *bulk) statement(d dialect, rows [][]any) (string, []any) {
	given, args := d.given(b.columns, rows)
	device, id := b.columns[0].name, b.columns[1].name
	return given + "UPDATE requests SET " + b.change + " FROM v WHERE requests.device = v." + device + " AND requests.id = v." + id +
		" AND " + b.where + " RETURNING requests.device, requests.id", args
}

// A bulkRow is a write of a bulk.
type bulkRow struct {
	key    Key
	values []any
	made   bool // whether it has changed the request
}

// doRow has a change of a bulk committed, and reports whether it was made.
func (s *Store) doRow(ctx context.Context, b *bulk, k Key, values ...any) (bool, error) {
	r := &bulkRow{key: k, values: values}
	err := s.submit(ctx, &write{of: b, about: k, item: r})
	return r.made && err == nil, err
}

func (b *bulk) together(t *tx, writes []*write) error {
	rows, items := make([][]any, len(writes)), make(map[Key]*bulkRow, len(writes))
	for i, w := range writes {
		r := w.item.(*bulkRow)
		r.made = false
		rows[i], items[r.key] = append([]any{r.key.Device, r.key.ID[:]}, r.values...), r
	}
	statement, args := b.statement(t.dialect, rows)
	return t.later(statement, args, func(from row) error {
		k, err := scanKey(from)
		if r := items[k]; r != nil {
			r.made = true
		}
		return err
	})
}

// scanKey reads the name of a request.
func scanKey(from row) (k Key, err error) {
	var id []byte
	err = from.Scan(&k.Device, &id)
	copy(k.ID[:], id)
	return k, err
}
