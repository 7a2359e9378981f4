package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// SQLite is a database in a file, for one bridge.
type SQLite struct {
	// Path is the file; it is made, with mode 0600, if it does not exist. A lock
	// beside it keeps a second process out. Required.
	Path string
	// UnsafeNoSync skips waiting for the disk: a power cut may then lose what was
	// said to be stored, or the whole file. For tests and measurements only.
	UnsafeNoSync bool
}

// String returns the path.
func (d SQLite) String() string { return d.Path }

// readers is how many connections read at the same time.
const readers = 4

var sqliteDialect = dialect{
	goose:      goose.DialectSQLite3,
	migrations: "migrations/sqlite",
	tables:     "SELECT name FROM sqlite_schema WHERE type = 'table'",
	blob:       "BLOB",
	inOrder:    "?", // looking a parameter up by its number takes long where there are a thousand
}

func (d SQLite) open(ctx context.Context) (*engine, error) {
	lock, err := lockFile(d.Path)
	if err != nil {
		return nil, err
	}
	write, err := d.connect(url.Values{}, d.durable()...)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	write.SetMaxOpenConns(1)
	read, err := d.connect(url.Values{}, append(d.durable(), "query_only(1)")...)
	if err != nil {
		return nil, errors.Join(err, write.Close(), lock.Close())
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	w := &sqliteWriter{db: write}
	return &engine{
		dialect: sqliteDialect,
		reads:   &prepared{on: read},
		begin:   w.begin,
		schema:  write,
		release: func() error { return errors.Join(w.close(), read.Close(), write.Close(), lock.Close()) },
		alone:   true,
		writers: 1,
		fault:   func(err error) error { return err },
	}, nil
}

func (d SQLite) look(context.Context) (*engine, error) {
	if _, err := os.Stat(d.Path); errors.Is(err, fs.ErrNotExist) {
		return &engine{dialect: sqliteDialect, release: func() error { return nil }}, nil
	}
	db, err := d.connect(url.Values{"mode": {"ro"}})
	if err != nil {
		return nil, err
	}
	return &engine{dialect: sqliteDialect, schema: db, release: db.Close}, nil
}

// connect returns connections that are set up by pragmas, besides parameters.
func (d SQLite) connect(q url.Values, pragmas ...string) (*sql.DB, error) {
	path, err := filepath.Abs(d.Path)
	if err != nil {
		return nil, err
	}
	q["_pragma"] = append([]string{"busy_timeout(5000)"}, pragmas...)
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
}

// durable are the pragmas of connections that write, or live beside one.
func (d SQLite) durable() []string {
	synchronous := "FULL"
	if d.UnsafeNoSync {
		synchronous = "OFF"
	}
	return []string{"journal_mode(WAL)", "synchronous(" + synchronous + ")", "foreign_keys(1)"}
}

// A sqliteWriter is the only connection that writes, and its transaction.
type sqliteWriter struct {
	db   *sql.DB
	conn *sql.Conn // of db; nil until the first transaction
	prepared
}

func (w *sqliteWriter) begin(ctx context.Context) (transaction, error) {
	if w.conn == nil {
		var err error
		if w.conn, err = w.db.Conn(ctx); err != nil {
			return nil, err
		}
		w.on = w.conn
	}
	_, err := w.exec(ctx, "BEGIN IMMEDIATE", nil)
	return w, err
}

// later does it at once: nothing is saved by waiting.
func (w *sqliteWriter) later(ctx context.Context, query string, args []any, scan func(row) error) error {
	return w.query(ctx, query, args, scan)
}

func (w *sqliteWriter) commit(ctx context.Context) error {
	_, err := w.exec(ctx, "COMMIT", nil)
	if err != nil {
		_ = w.rollback(ctx) // SQLite may have done so itself
	}
	return err
}

func (w *sqliteWriter) rollback(ctx context.Context) error {
	_, err := w.exec(ctx, "ROLLBACK", nil)
	return err
}

func (w *sqliteWriter) close() error {
	w.prepared.close()
	if w.conn == nil {
		return nil
	}
	if err := w.conn.Close(); err != nil {
		return fmt.Errorf("closing the connection that writes: %w", err)
	}
	return nil
}
