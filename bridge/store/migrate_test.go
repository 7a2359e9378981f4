package store_test

import (
	"errors"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/carillon-iot/carillon/bridge/store"
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
