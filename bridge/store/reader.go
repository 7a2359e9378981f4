package store

import (
	"context"
	"database/sql"
	"time"
)

// get reads one row outside of the writer.
//
// Reads are short, so ctx is only looked at before they begin: to interrupt one
// would cost a goroutine each.
func (s *Store) get(ctx context.Context, query string, args []any, into ...any) (bool, error) {
	s.reading.RLock()
	defer s.reading.RUnlock()
	p, err := s.stmt(ctx, query)
	if err != nil {
		return false, err
	}
	return found(p.QueryRow(args...).Scan(into...))
}

// each reads many.
func (s *Store) each(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	s.reading.RLock()
	defer s.reading.RUnlock()
	p, err := s.stmt(ctx, query)
	if err != nil {
		return err
	}
	return each(p, args, scan)
}

// stmt returns the prepared statement of a query. The caller holds reading.
func (s *Store) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.isClosed() {
		return nil, ErrClosed
	}
	if p, ok := s.prepared.Load(query); ok {
		return p.(*sql.Stmt), nil
	}
	p, err := s.read.Prepare(query)
	if err != nil {
		return nil, err
	}
	if first, raced := s.prepared.LoadOrStore(query, p); raced {
		_ = p.Close()
		p = first.(*sql.Stmt)
	}
	return p, nil
}

// ms is an instant as it is stored; zero is 0.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// at is the inverse of ms.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
