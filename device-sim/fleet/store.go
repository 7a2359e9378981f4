package fleet

import "context"

// A Store is where the bridges of a fleet keep their state.
type Store interface {
	// Open makes it ready and returns what bridges are given as db. Dir is there
	// for files.
	Open(ctx context.Context, dir string) (db string, err error)
	// Shared reports whether several bridges can use it.
	Shared() bool
	// String names it in reports.
	String() string
	// Close ends it.
	Close() error
}

// SQLite is a file in the directory of the run.
type SQLite struct{}

// Open returns the name of a file.
func (SQLite) Open(_ context.Context, dir string) (string, error) { return dir + "/bridge.db", nil }

// Shared reports that one bridge at a time can use a file.
func (SQLite) Shared() bool { return false }

// String returns "sqlite".
func (SQLite) String() string { return "sqlite" }

// Close does nothing: bridges close the file.
func (SQLite) Close() error { return nil }
