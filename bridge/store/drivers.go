package store

import (
	"context"
	"database/sql"
	"sync"
)

// direct runs statements once, as they are.
type direct struct{ on *sql.DB }

func (d direct) query(ctx context.Context, query string, args []any, scan func(row) error) error {
	rows, err := d.on.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	return scanAll(rows, scan)
}

// A cursor goes through the rows of an answer: *sql.Rows and pgx.Rows are ones.
type cursor interface {
	row
	Next() bool
	Err() error
}

// scanAll calls scan for every row.
func scanAll(rows cursor, scan func(row) error) error {
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// A prepared runner prepares each statement once, for drivers that do not.
type prepared struct {
	on interface {
		PrepareContext(context.Context, string) (*sql.Stmt, error)
	}
	stmts sync.Map // from query to *sql.Stmt
}

func (p *prepared) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := p.stmts.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := p.on.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, raced := p.stmts.LoadOrStore(query, s); raced {
		_ = s.Close()
		s = first.(*sql.Stmt)
	}
	return s, nil
}

func (p *prepared) exec(ctx context.Context, query string, args []any) (int64, error) {
	s, err := p.stmt(ctx, query)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (p *prepared) query(ctx context.Context, query string, args []any, scan func(row) error) error {
	s, err := p.stmt(ctx, query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	return scanAll(rows, scan)
}

// close lets go of the statements, without which SQLite would not write the log
// back into the file when the connection closes.
func (p *prepared) close() {
	for _, s := range p.stmts.Range {
		_ = s.(*sql.Stmt).Close()
	}
}
