package cmd

import (
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/carillon-iot/carillon/bridge/store"
)

// shared reports whether the state is where other bridges reach it too.
func (s *settings) shared() bool {
	return strings.HasPrefix(s.db, "postgres://") || strings.HasPrefix(s.db, "postgresql://")
}

// database returns where the state is.
func (s *settings) database() (store.Database, error) {
	if !s.shared() {
		return store.SQLite{Path: s.db}, nil
	}
	cfg, err := pgxpool.ParseConfig(s.db) // its errors hide the password
	if err != nil {
		return nil, usagef("--db: %w", err)
	}
	return store.Postgres{Config: cfg}, nil
}
