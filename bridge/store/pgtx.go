package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A pgReader reads on any connection.
type pgReader struct{ pool *pgxpool.Pool }

func (r pgReader) query(ctx context.Context, query string, args []any, scan func(row) error) error {
	rows, err := r.pool.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	return scanAll(rows, scan)
}

// A pgTx is a transaction in which nobody waits for an answer that is not needed
// yet: statements travel in one batch with the first that is, and so do BEGIN and
// COMMIT. Most of what a transaction takes is the way to the server and back,
// during which its rows are locked.
type pgTx struct {
	conn  *pgxpool.Conn
	queue []pgStatement
	begun bool
}

// A pgStatement is one that was not sent yet.
type pgStatement struct {
	query string
	args  []any
	take  func(pgx.Rows) error
}

func (p *postgres) begin(ctx context.Context) (transaction, error) {
	conn, err := p.writes.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return &pgTx{conn: conn}, nil
}

func (t *pgTx) later(_ context.Context, query string, args []any, scan func(row) error) error {
	t.queue = append(t.queue, pgStatement{query, args, func(rows pgx.Rows) error {
		defer rows.Close()
		return scanAll(rows, scan)
	}})
	return nil
}

func (t *pgTx) query(ctx context.Context, query string, args []any, scan func(row) error) error {
	_ = t.later(ctx, query, args, scan)
	return t.send(ctx)
}

func (t *pgTx) exec(ctx context.Context, query string, args []any) (n int64, err error) {
	t.queue = append(t.queue, pgStatement{query, args, func(rows pgx.Rows) error {
		rows.Close()
		n = rows.CommandTag().RowsAffected()
		return rows.Err()
	}})
	err = t.send(ctx)
	return n, err
}

// errRolledBack is what a server makes of a COMMIT after an error.
var errRolledBack = errors.New("the transaction was rolled back")

func (t *pgTx) commit(ctx context.Context) error {
	t.queue = append(t.queue, pgStatement{query: "commit", take: func(rows pgx.Rows) error {
		rows.Close()
		if rows.Err() == nil && rows.CommandTag().String() != "COMMIT" {
			return errRolledBack
		}
		return rows.Err()
	}})
	if err := t.send(ctx); err != nil {
		return errors.Join(err, t.rollback(ctx))
	}
	t.conn.Release()
	return nil
}

// rollback gives the connection back. If it is not usable any more, the server
// has rolled back, or will.
func (t *pgTx) rollback(ctx context.Context) error {
	defer t.conn.Release() // closes it, unless the transaction has ended
	if conn := t.conn.Conn(); t.begun && !conn.IsClosed() {
		_, err := conn.Exec(ctx, "rollback")
		return err
	}
	return nil
}

// send runs what is queued. After an error the server skips the rest, COMMIT
// included.
func (t *pgTx) send(ctx context.Context) error {
	batch := new(pgx.Batch)
	begins := !t.begun
	if begins {
		batch.Queue("begin")
		t.begun = true
	}
	for _, s := range t.queue {
		batch.Queue(s.query, s.args...)
	}
	answers := t.conn.SendBatch(ctx, batch)
	err := t.take(answers, begins)
	t.queue = t.queue[:0]
	if ended := answers.Close(); err == nil {
		err = ended
	}
	return err
}

func (t *pgTx) take(answers pgx.BatchResults, begins bool) error {
	if begins {
		if _, err := answers.Exec(); err != nil {
			return err
		}
	}
	for _, s := range t.queue {
		rows, err := answers.Query()
		if err != nil {
			return err
		}
		if err := s.take(rows); err != nil {
			return err
		}
	}
	return nil
}
