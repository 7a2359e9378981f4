package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

var ctx = context.Background()

func keyring(t testing.TB, keys ...byte) *store.Keyring {
	t.Helper()
	var all [][]byte
	for _, k := range keys {
		all = append(all, bytes.Repeat([]byte{k}, store.KeySize))
	}
	k, err := store.NewKeyring(all...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// open opens a store whose writer runs until the end of the test.
func open(t testing.TB, path string, keys *store.Keyring) *store.Store {
	t.Helper()
	s, err := store.Open(ctx, store.Config{Path: path, Keys: keys, UnsafeNoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Run(ctx)
	t.Cleanup(func() { s.Close() })
	return s
}

func newStore(t testing.TB) *store.Store {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "bridge.db"), keyring(t, 1))
}

var now = time.Unix(1_800_000_000, 0)

// start is a sign-in of a person on a device.
func start(s *store.Store, device, person string) store.Start {
	return store.Start{
		Key:      store.Key{Device: schemas.DeviceID(device), ID: schemas.NewID()},
		Person:   s.Subject("https://op.test", person),
		Now:      now,
		Due:      now.Add(45 * time.Second),
		Deadline: now.Add(2 * time.Minute),
		Details: store.Details{
			Issuer: "https://op.test", Hint: store.Hint{Kind: store.LoginHint, Value: person},
			Scope: []string{"seat"}, Binding: "4K7-P2X", Asked: now.Unix(),
		},
	}
}

func begin(t testing.TB, s *store.Store, st store.Start) {
	t.Helper()
	b, err := s.Begin(ctx, st)
	if err != nil || b.Verdict != store.Started {
		t.Fatalf("begin: %+v, %v", b, err)
	}
}

// waiting begins a sign-in and lets it wait, due for its poll after five seconds.
func waiting(t testing.TB, s *store.Store, device, person string) store.Start {
	t.Helper()
	st := start(s, device, person)
	begin(t, s, st)
	st.Details.AuthReqID = "id-" + person
	ok, err := s.Rang(ctx, st.Key, st.Details, ciba.Poll{Interval: 5 * time.Second, Due: now.Add(5 * time.Second), Deadline: st.Deadline}, now)
	if err != nil || !ok {
		t.Fatalf("rang: %t, %v", ok, err)
	}
	return st
}

func ending(k store.Key, outcome string) store.Ending {
	return store.Ending{Key: k, Message: []byte("signed " + outcome), Outcome: outcome, Now: now, Until: now.Add(10 * time.Minute)}
}

func TestRequestComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.db")
	s := open(t, path, keyring(t, 1))
	st := waiting(t, s, "car-1", "anna")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, keyring(t, 2, 1)) // a new key encrypts, the old one still opens
	r, ok, err := s.Find(ctx, st.Key)
	if err != nil || !ok {
		t.Fatalf("find: %t, %v", ok, err)
	}
	if r.State != store.Waiting || r.Person != s.Subject("https://op.test", "anna") || !r.Deadline.Equal(st.Deadline) {
		t.Errorf("row %+v", r)
	}
	st.Details.AuthReqID = "id-anna"
	if fmt.Sprintf("%+v", r.Details) != fmt.Sprintf("%+v", st.Details) {
		t.Errorf("details %+v, want %+v", r.Details, st.Details)
	}
	if r.Poll.Interval != 5*time.Second || !r.Poll.Due.Equal(now.Add(5*time.Second)) || r.Poll.Lost || r.Poll.Failures != 0 {
		t.Errorf("poll %+v", r.Poll)
	}
}

func TestOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.db")
	s := open(t, path, keyring(t, 1))
	_, err := store.Open(ctx, store.Config{Path: path, Keys: keyring(t, 1)})
	if err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	s.Close()
	open(t, path, keyring(t, 1))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file mode %v, %v", info.Mode(), err)
	}
}

// A database of a newer program is refused.
func TestDowngrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.db")
	open(t, path, keyring(t, 1)).Close()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := store.Open(ctx, store.Config{Path: path, Keys: keyring(t, 1)}); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("opened a newer database: %v", err)
	}
}

func TestNotADatabase(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(path, bytes.Repeat([]byte("not a database. "), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, dir, "", filepath.Join(dir, "missing", "bridge.db")} {
		if _, err := store.Open(ctx, store.Config{Path: p, Keys: keyring(t, 1)}); err == nil {
			t.Errorf("opened %q", p)
		}
	}
}

func TestClosed(t *testing.T) {
	s := newStore(t)
	s.Close()
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, err := s.Begin(ctx, start(s, "car-1", "anna")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("begin: %v", err)
	}
	if _, _, err := s.Find(ctx, store.Key{}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("find: %v", err)
	}
}

// A back-up that is made while the bridge works is a whole database.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "bridge.db"), filepath.Join(dir, "backup.db")
	s := open(t, path, keyring(t, 1))
	first := waiting(t, s, "car-0", "anna")
	stop := make(chan struct{})
	var writers sync.WaitGroup
	writers.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
				begin(t, s, start(s, fmt.Sprintf("car-%d", i), fmt.Sprint(i)))
			}
		}
	})
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("VACUUM INTO ?", backup); err != nil {
		t.Fatal(err)
	}
	close(stop)
	writers.Wait()
	copied := open(t, backup, keyring(t, 1))
	r, ok, err := copied.Find(ctx, first.Key)
	if err != nil || !ok || r.Details.AuthReqID != "id-anna" {
		t.Errorf("the copy has %+v, %t, %v", r, ok, err)
	}
}

// A store that was closed is one file again: SQLite has written its log back,
// and whoever copies the file has everything.
func TestClosedStoreIsOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.db")
	s := open(t, path, keyring(t, 1))
	st := start(s, "d1", "anna")
	begin(t, s, st)
	if _, known, err := s.Find(ctx, st.Key); err != nil || !known {
		t.Fatalf("known %v, error %v", known, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(path + "-*")
	if err != nil || len(left) > 0 {
		t.Errorf("beside it there are %q, error %v", left, err)
	}
}
