package store

import (
	"context"
	"database/sql"
)

// get reads one row outside of a transaction.
func (s *Store) get(ctx context.Context, query string, args []any, into ...any) (found bool, err error) {
	err = s.each(ctx, query, args, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(into...)
	})
	return found, err
}

// each reads many.
func (s *Store) each(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	s.reading.RLock()
	defer s.reading.RUnlock()
	if s.isClosed() {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	return s.fault(each(ctx, s.reads, query, args, scan))
}

// each calls scan for every row.
func each(ctx context.Context, on runner, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := on.query(ctx, query, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
