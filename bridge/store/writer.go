package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// maxBatch is how many writes share a commit at most.
const maxBatch = 512

// A write is one change, all of it or nothing. It may run twice (see commit),
// so it must set its results anew each time.
type write struct {
	change func(*tx) error
	done   chan error // buffered; gets exactly one value if the writer took the write
}

// do has a change committed and returns the error of change or commit. The
// change is not attempted if ctx ends before the writer has taken it in.
func (s *Store) do(ctx context.Context, change func(*tx) error) error {
	if s.isClosed() {
		return ErrClosed
	}
	if s.meter != nil {
		defer func(from time.Time) { s.meter.Wrote(time.Since(from)) }(time.Now())
	}
	w := &write{change: change, done: make(chan error, 1)}
	select {
	case s.writes <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
		return ErrClosed
	case <-s.closed:
		return ErrClosed
	}
	// Until the writer has ended it may be running change, whose results the
	// caller is about to look at.
	select {
	case err := <-w.done:
		return err
	case <-s.stopped:
	}
	select {
	case err := <-w.done:
		return err
	default:
		return ErrClosed
	}
}

// Run commits writes until ctx is done or the store is closed. It is called
// once.
func (s *Store) Run(ctx context.Context) error {
	if !s.takeWriter() {
		return ErrClosed
	}
	defer close(s.stopped)
	t := &tx{conn: s.conn, meter: s.meter, prepared: make(map[string]*sql.Stmt)}
	defer t.close()
	for !s.isClosed() {
		select {
		case w := <-s.writes:
			if !s.isClosed() {
				t.commit(s.gather(w))
			}
		case <-s.closed:
		case <-ctx.Done():
			s.drain(t)
			return nil
		}
	}
	return ErrClosed
}

// takeWriter reports whether the caller is the first to ask, and so the one that
// has to close stopped.
func (s *Store) takeWriter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.taken
	s.taken = true
	return first
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// drain commits what was taken in before the end.
func (s *Store) drain(t *tx) {
	select {
	case w := <-s.writes:
		t.commit(s.gather(w))
	default:
	}
}

// gather returns first and whatever else waits.
func (s *Store) gather(first *write) []*write {
	batch := []*write{first}
	for len(batch) < maxBatch {
		select {
		case w := <-s.writes:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// A tx is the transaction of a batch of writes. It is used by one goroutine.
type tx struct {
	conn     *sql.Conn
	meter    Meter // or nil
	prepared map[string]*sql.Stmt
}

// close lets go of the statements, without which SQLite would not write the log
// back into the file when the connection closes.
func (t *tx) close() {
	for _, p := range t.prepared {
		_ = p.Close()
	}
}

// commit makes a batch durable in one transaction. If anything fails, each
// write gets a transaction of its own, so that one cannot spoil the others.
func (t *tx) commit(batch []*write) {
	err := t.try(batch)
	if err != nil && len(batch) > 1 {
		for _, w := range batch {
			w.done <- t.try([]*write{w})
		}
		return
	}
	for _, w := range batch {
		w.done <- err
	}
}

func (t *tx) try(batch []*write) (err error) {
	if t.meter != nil {
		defer func(from time.Time) { t.meter.Committed(len(batch), time.Since(from), fault(err)) }(time.Now())
	}
	if _, err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, w := range batch {
		if err := w.change(t); err != nil {
			_, rollback := t.exec("ROLLBACK")
			return errors.Join(err, rollback)
		}
	}
	if _, err := t.exec("COMMIT"); err != nil {
		_, _ = t.exec("ROLLBACK") // SQLite may have done so itself
		return err
	}
	return nil
}

// fault returns err if it is a failure of the store, and nil if a change was
// refused for a reason of its own.
func fault(err error) error {
	if errors.Is(err, ErrTooMany) {
		return nil
	}
	return err
}

// stmt returns the prepared statement of a query.
func (t *tx) stmt(query string) (*sql.Stmt, error) {
	if p, ok := t.prepared[query]; ok {
		return p, nil
	}
	p, err := t.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	t.prepared[query] = p
	return p, nil
}

// exec returns how many rows were changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	p, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	r, err := p.Exec(args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// get scans the only row, or reports that there is none.
func (t *tx) get(query string, args []any, into ...any) (bool, error) {
	p, err := t.stmt(query)
	if err != nil {
		return false, err
	}
	return found(p.QueryRow(args...).Scan(into...))
}

// each calls scan for every row.
func (t *tx) each(query string, args []any, scan func(*sql.Rows) error) error {
	p, err := t.stmt(query)
	if err != nil {
		return err
	}
	return each(p, args, scan)
}

func each(p *sql.Stmt, args []any, scan func(*sql.Rows) error) error {
	rows, err := p.Query(args...)
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

// found turns "no rows" from an error into an answer.
func found(err error) (bool, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
