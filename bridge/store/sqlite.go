package store

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// readers is how many connections read at the same time.
const readers = 4

// openSQLite returns the connection that writes and those that read.
func openSQLite(cfg Config) (write, read *sql.DB, err error) {
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, nil, err
	}
	if write, err = sql.Open("sqlite", dsn(path, cfg.UnsafeNoSync, false)); err != nil {
		return nil, nil, err
	}
	write.SetMaxOpenConns(1)
	if read, err = sql.Open("sqlite", dsn(path, cfg.UnsafeNoSync, true)); err != nil {
		return write, nil, err
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return write, read, nil
}

func dsn(path string, noSync, readOnly bool) string {
	synchronous, queryOnly := "FULL", 0
	if noSync {
		synchronous = "OFF"
	}
	if readOnly {
		queryOnly = 1
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(5000)",
		"journal_mode(WAL)",
		"synchronous(" + synchronous + ")",
		"foreign_keys(1)",
		fmt.Sprintf("query_only(%d)", queryOnly),
	}}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}
