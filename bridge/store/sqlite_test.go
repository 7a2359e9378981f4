package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/store"
)

func TestOneProcess(t *testing.T) {
	db := sqlite(t)
	s := open(t, db, keyring(t, 1))
	_, err := store.Open(ctx, store.Config{Database: db, Keys: keyring(t, 1)})
	if err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	s.Close()
	open(t, db, keyring(t, 1))
	if info, err := os.Stat(db.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file mode %v, %v", info.Mode(), err)
	}
}

func TestNotADatabase(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(path, bytes.Repeat([]byte("not a database. "), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, dir, "", filepath.Join(dir, "missing", "bridge.db")} {
		if _, err := store.Open(ctx, store.Config{Database: store.SQLite{Path: p}, Keys: keyring(t, 1)}); err == nil {
			t.Errorf("opened %q", p)
		}
	}
}

// A back-up that is made while the bridge works is a whole database, with which
// a bridge goes on.
func TestBackup(t *testing.T) {
	db, backup := sqlite(t), sqlite(t)
	s := newStore(t, db)
	first := waiting(t, s, "car-0", "anna")
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 1; ; i++ {
				select {
				case <-stop:
					return
				default:
					begin(t, s, start(s, fmt.Sprintf("car-%d-%d", w, i), fmt.Sprint(w, i)))
				}
			}
		})
	}
	if err := db.Backup(ctx, backup.Path); err != nil {
		t.Fatal(err)
	}
	close(stop)
	writers.Wait()
	if info, err := os.Stat(backup.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file mode %v, %v", info.Mode(), err)
	}
	copied := newStore(t, backup)
	r := claimOne(t, copied, now.Add(5*time.Second))
	if r.Key != first.Key || r.Details.AuthReqID != "id-anna" {
		t.Errorf("the copy has %+v", r)
	}
	if ok, err := copied.Refuse(ctx, ending(r.Key, "expired")); !ok || err != nil {
		t.Errorf("the copy goes on: %t, %v", ok, err)
	}
}

// A back-up replaces nothing, and leaves nothing behind that is no back-up.
func TestBackupFails(t *testing.T) {
	db := sqlite(t)
	newStore(t, db)
	there := filepath.Join(t.TempDir(), "there")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := db.Backup(ctx, there); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another file: %v", err)
	}
	missing := store.SQLite{Path: filepath.Join(t.TempDir(), "missing.db")}
	to := filepath.Join(t.TempDir(), "backup.db")
	if err := missing.Backup(ctx, to); err == nil {
		t.Error("of nothing")
	}
	for _, path := range []string{missing.Path, to} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// A store that was closed is one file again: SQLite has written its log back,
// and whoever copies the file has everything.
func TestClosedStoreIsOneFile(t *testing.T) {
	db := sqlite(t)
	s := open(t, db, keyring(t, 1))
	st := start(s, "d1", "anna")
	begin(t, s, st)
	if _, known, err := s.Find(ctx, st.Key); err != nil || !known {
		t.Fatalf("known %v, error %v", known, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(db.Path + "-*")
	if err != nil || len(left) > 0 {
		t.Errorf("beside it there are %q, error %v", left, err)
	}
}
