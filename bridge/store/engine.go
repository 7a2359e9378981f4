package store

import (
	"context"
	"database/sql"
	"errors"
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
	reads   reader
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
	turn       string // waits until no other transaction that has said the same name goes on; "": none does
	forUpdate  string // ends a SELECT of rows that nobody else must change before the transaction ends
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

// A row is one of an answer, while it is scanned.
type row interface{ Scan(...any) error }

// A reader runs statements that change nothing, and calls scan for every row of
// the answer. Errors are those of the driver.
type reader interface {
	query(ctx context.Context, query string, args []any, scan func(row) error) error
}

// A transaction runs statements that take effect together. It is used by one
// goroutine, and ends with commit, unless that fails, or rollback. Errors are
// those of the driver.
type transaction interface {
	reader
	// exec returns how many rows a statement has changed.
	exec(ctx context.Context, query string, args []any) (int64, error)
	// later does what query does, but at any time until the next query or exec, or
	// commit, has returned: an engine may send all these to its server at once.
	// Which of them has gone wrong, their error says.
	later(ctx context.Context, query string, args []any, scan func(row) error) error
	commit(context.Context) error
	rollback(context.Context) error
}
