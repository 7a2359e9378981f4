package store

import (
	"context"
)

// get reads one row outside of a transaction.
func (s *Store) get(ctx context.Context, query string, args []any, into ...any) (found bool, err error) {
	err = s.each(ctx, query, args, func(from row) error {
		found = true
		return from.Scan(into...)
	})
	return found, err
}

// each reads many.
func (s *Store) each(ctx context.Context, query string, args []any, scan func(row) error) error {
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
	return s.fault(s.reads.query(ctx, query, args, scan))
}
