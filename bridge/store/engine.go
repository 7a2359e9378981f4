package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
)

// A Database says where the state is: [SQLite] or [Postgres].
type Database interface {
	// String names it to people, without a password.
	String() string
	// open connects, and takes whatever keeps others out. The tables may not be
	// there yet.
	open(context.Context) (*engine, error)
	// look connects for reading the tables alone, and makes nothing.
	look(context.Context) (*engine, error)
}

// An engine is an open database, and what sets it apart from the other kind.
type engine struct {
	dialect
	reads   runner
	begin   func(context.Context) (transaction, error) // one that writes
	schema  *sql.DB                                    // for statements that change tables; nil: there is no database yet
	release func() error

	alone   bool          // nobody else has the database open
	writers int           // transactions that write at the same time
	timeout time.Duration // of a read or a transaction; 0: the engine does not let one wait
	fault   func(error) error
	clock
}

// A dialect is what differs in SQL.
type dialect struct {
	goose      goose.Dialect
	migrations string // directory
	tables     string // query for the names of the tables
	lock       string // statement that waits until nobody else migrates; "" if nobody else can
	blob       string // type of bytes
	inOrder    string // a parameter that comes after the last one; "": it has to say its number
	skipLocked string // ends a SELECT of rows to be changed: passes over those that somebody else is changing
}

// within returns ctx bounded by the engine's timeout.
func (e *engine) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if e.timeout == 0 {
		// The driver would watch a context that can end in a goroutine of its own,
		// for each statement.
		return context.WithoutCancel(ctx), func() {}
	}
	return context.WithTimeout(ctx, e.timeout)
}

var (
	// ErrUnavailable says that the database could not be reached, or not be written
	// to. Whether a change that was to be made has been made is not known; every
	// change of a request is a compare-and-set, so it may be tried again.
	ErrUnavailable = errors.New("store: the database is not available")

	// errContended says that two transactions were in each other's way; nothing has
	// changed.
	errContended = errors.New("store: contended")
)

// A runner runs statements. Errors are those of the driver.
type runner interface {
	exec(ctx context.Context, query string, args []any) (sql.Result, error)
	query(ctx context.Context, query string, args []any) (*sql.Rows, error)
}

// A transaction runs statements that take effect together. It is used by one
// goroutine.
type transaction interface {
	runner
	Commit() error
	Rollback() error
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

func (p *prepared) exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	s, err := p.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

func (p *prepared) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	s, err := p.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// close lets go of the statements, without which SQLite would not write the log
// back into the file when the connection closes.
func (p *prepared) close() {
	for _, s := range p.stmts.Range {
		_ = s.(*sql.Stmt).Close()
	}
}
