package store_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// A database of a newer program is refused, and left as it is.
func TestDowngrade(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		open(t, db, keyring(t, 1)).Close()
		if _, err := raw(t, db).Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, $1)", true); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(ctx, store.Config{Database: db, Keys: keyring(t, 1)})
		if err == nil || !strings.Contains(err.Error(), "version 99") {
			t.Errorf("opened a newer database: %v", err)
		}
		if _, err := store.Migrate(ctx, db); err == nil || !strings.Contains(err.Error(), "version 99") {
			t.Errorf("migrated a newer database: %v", err)
		}
		if p, err := store.Examine(ctx, db); err == nil || p.Have != 0 {
			t.Errorf("examined a newer database: %+v, %v", p, err)
		}
	})
}

// Examine says what Migrate then does.
func TestMigrate(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		plan, err := store.Examine(ctx, db)
		if err != nil || plan.Have != 0 || plan.Know < 2 || len(plan.Steps) != int(plan.Know) || plan.Steps[0] != "00001_first.sql" {
			t.Fatalf("a new database: %+v, %v", plan, err)
		}
		if file, ok := db.(store.SQLite); ok {
			if _, err := os.Stat(file.Path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("examining has made a file: %v", err)
			}
		}
		if again, err := store.Examine(ctx, db); err != nil || !reflect.DeepEqual(again, plan) {
			t.Errorf("examined again: %+v, %v", again, err)
		}
		if done, err := store.Migrate(ctx, db); err != nil || !reflect.DeepEqual(done, plan) {
			t.Errorf("migrated: %+v, %v; want %+v", done, err, plan)
		}
		want := store.Plan{Have: plan.Know, Know: plan.Know}
		s := newStore(t, db)
		if p, err := store.Examine(ctx, db); err != nil || !reflect.DeepEqual(p, want) {
			t.Errorf("examined while a bridge works: %+v, %v", p, err)
		}
		s.Close()
		if p, err := store.Migrate(ctx, db); err != nil || !reflect.DeepEqual(p, want) {
			t.Errorf("migrated once more: %+v, %v", p, err)
		}
	})
}

// Bridges that are started at the same time on a new database all find their
// tables, made once.
func TestMigrateAtOnce(t *testing.T) {
	db := postgres(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := store.Open(ctx, store.Config{Database: db, Keys: keyring(t, 1)})
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	all.Wait()
	var steps, versions int
	if err := raw(t, db).QueryRow("SELECT count(*), count(DISTINCT version_id) FROM goose_db_version").Scan(&steps, &versions); err != nil || steps != versions {
		t.Errorf("%d steps to %d versions, %v", steps, versions, err)
	}
}

// What an older program has written is there after the tables were made anew.
func TestMigrationKeepsRequests(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.db")
	older, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Sub(os.DirFS("migrations"), "sqlite")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, older, files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(ctx, 2); err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		`INSERT INTO requests (device, id, state, person, due_at, deadline, interval_ms, fallback_ms, pinged)
			VALUES ('car-1', x'0100000000000000', 'waiting', x'07', 5, 6, 7, 8, 1)`,
		`INSERT INTO sessions (device, id, issuer, subject, created_at, expires_at) VALUES ('car-1', x'0200000000000000', 'i', 'anna', 1, 9000000000000)`,
	} {
		if _, err := older.Exec(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := older.Close(); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, store.SQLite{Path: path, UnsafeNoSync: true})
	r, ok, err := s.Find(ctx, store.Key{Device: "car-1", ID: schemas.ID{1}})
	if !ok || err != nil || r.State != store.Waiting || r.Poll.Interval != 7e6 || r.Poll.Fallback != 8e6 || !r.Poll.Pinged {
		t.Errorf("request %+v, %t, %v", r, ok, err)
	}
	if got := read(t, s, store.Key{Device: "car-1", ID: schemas.ID{2}}); got.Renewal != nil || got.Subject != "anna" {
		t.Errorf("session %+v", got)
	}
}
