package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
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

// requireKeys makes sure that bridges which share their state are given the same
// keys: there is no place beside the database for them.
func (s *settings) requireKeys() error {
	for _, f := range []struct{ name, path string }{{"store-key", s.storeKey}, {"seal-key", s.sealKey}} {
		if s.shared() && f.path == "" {
			return usagef("--%s is missing: with PostgreSQL all bridges must be given the same file", f.name)
		}
	}
	return nil
}

// beside returns path, or that of the database with a further ending.
func (s *settings) beside(path, ending string) string {
	if path != "" {
		return path
	}
	return s.db + ending
}

// openKeys reads the key files, and makes those that do not exist.
func (s *settings) openKeys(log *slog.Logger) (*store.Keyring, []*schemas.SealKey, error) {
	path := s.beside(s.storeKey, ".key")
	if err := s.storeKeyLost(path); err != nil {
		return nil, nil, err
	}
	data, err := readOrMake(path, freshStoreKey, log)
	if err != nil {
		return nil, nil, fmt.Errorf("--store-key: %w", err)
	}
	ring, err := parseStoreKeys(data)
	if err != nil {
		return nil, nil, fmt.Errorf("--store-key: %q: %w", path, err)
	}
	path = s.beside(s.sealKey, ".seal")
	if data, err = readOrMake(path, freshSealKey, log); err != nil {
		return nil, nil, fmt.Errorf("--seal-key: %w", err)
	}
	sealKeys, err := parseSealKeys(data)
	if err != nil {
		return nil, nil, fmt.Errorf("--seal-key: %q: %w", path, err)
	}
	return ring, sealKeys, nil
}

// storeKeyLost returns an error if there is a database and no key to it: a fresh
// one would open nothing.
func (s *settings) storeKeyLost(path string) error {
	if _, err := os.Stat(path); s.shared() || !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if info, err := os.Stat(s.db); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return nil
	}
	return fmt.Errorf("--store-key: %q does not exist, and the database %q cannot be opened without it: bring it back from the back-up", path, s.db)
}
