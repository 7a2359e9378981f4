package store_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/bridge/store/pgtest"
)

// server is the PostgreSQL server of this package's tests, which begins with the
// first that needs one.
var server struct {
	once sync.Once
	*pgtest.Server
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if server.Server != nil {
		server.Stop()
	}
	os.Exit(code)
}

// each runs a test on either engine, with a new database.
func each(t *testing.T, test func(t *testing.T, db store.Database)) {
	t.Run("sqlite", func(t *testing.T) { test(t, sqlite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres(t)) })
}

func sqlite(t testing.TB) store.SQLite {
	return store.SQLite{Path: filepath.Join(t.TempDir(), "bridge.db"), UnsafeNoSync: true}
}

func postgres(t testing.TB) store.Postgres {
	t.Helper()
	server.once.Do(func() { server.Server, server.err = pgtest.Start(ctx, pgtest.Config{}) })
	pgtest.Check(t, server.err)
	return connect(t, server.Server)
}

// connect returns a new database of a server.
func connect(t testing.TB, s *pgtest.Server) store.Postgres {
	t.Helper()
	dsn, err := s.Database(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return store.Postgres{Config: cfg, UnsafeNoSync: true}
}

// open opens a store whose writer runs until the end of the test.
func open(t testing.TB, db store.Database, keys *store.Keyring) *store.Store {
	t.Helper()
	s, err := store.Open(ctx, store.Config{Database: db, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	go s.Run(ctx)
	t.Cleanup(func() { s.Close() })
	return s
}

func newStore(t testing.TB, db store.Database) *store.Store {
	t.Helper()
	return open(t, db, keyring(t, 1))
}

// raw opens a database beside the store.
func raw(t testing.TB, db store.Database) *sql.DB {
	t.Helper()
	driver, source := "pgx", ""
	switch db := db.(type) {
	case store.SQLite:
		driver, source = "sqlite", db.Path
	case store.Postgres:
		source = db.Config.ConnString()
	}
	out, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	return out
}
