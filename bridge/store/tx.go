package store

import (
	"context"
)

// A tx is the transaction of a batch of writes. It is used by one goroutine.
type tx struct {
	*engine
	ctx context.Context // bounds its statements; a tx is no longer-lived
	in  transaction
}

// change makes the changes of a batch.
func (t *tx) change(batch []*write) error {
	for _, w := range batch {
		if w.change == nil {
			continue
		}
		if err := w.change(t); err != nil {
			return err
		}
	}
	return t.sets(batch)
}

// exec returns how many rows were changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	n, err := t.in.exec(t.ctx, query, args)
	return n, t.fault(err)
}

// get scans the only row, or reports that there is none.
func (t *tx) get(query string, args []any, into ...any) (found bool, err error) {
	err = t.each(query, args, func(from row) error {
		found = true
		return from.Scan(into...)
	})
	return found, err
}

// each calls scan for every row.
func (t *tx) each(query string, args []any, scan func(row) error) error {
	return t.fault(t.in.query(t.ctx, query, args, scan))
}

// later does what each does, but perhaps not at once: see [transaction].
func (t *tx) later(query string, args []any, scan func(row) error) error {
	return t.fault(t.in.later(t.ctx, query, args, scan))
}
