package store

import (
	"context"
	"database/sql"
	"time"
)

// get reads one row outside of the writer.
func (s *Store) get(ctx context.Context, query string, args []any, into ...any) (bool, error) {
	p, err := s.stmt(ctx, query)
	if err != nil {
		return false, err
	}
	return found(p.QueryRowContext(ctx, args...).Scan(into...))
}

// each reads many.
func (s *Store) each(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	p, err := s.stmt(ctx, query)
	if err != nil {
		return err
	}
	return each(p, args, scan)
}

func (s *Store) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.prepared[query]; ok {
		return p, nil
	}
	p, err := s.read.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.prepared[query] = p
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
