package store

import "context"

// A bulk is a change of requests that one statement makes for many of them, each
// with values of its own.
type bulk struct {
	columns []column // of the values, which begin with the request's device and id
	change  string   // SET clause, in which v has the values
	where   string   // what must be true of a request besides
}

// update changes as many requests as rows are given, and returns the keys of those
// that it has changed.
func (b *bulk) update() string {
	device, id := b.columns[0].name, b.columns[1].name
	return "UPDATE requests SET " + b.change + " FROM v WHERE requests.device = v." + device + " AND requests.id = v." + id +
		" AND " + b.where + " RETURNING requests.device, requests.id"
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
	given, args := t.given(b.columns, rows)
	return t.later(given+b.update(), args, func(from row) error {
		k, err := scanKey(from)
		if r := items[k]; r != nil {
			r.made = true
		}
		return err
	})
}
