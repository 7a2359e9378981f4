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
	"github.com/carillon-iot/carillon/bridge/policy"
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
	ok, err := s.Rang(ctx, st.Key, st.Details, ciba.Poll{Interval: 5 * time.Second, Due: now.Add(5 * time.Second), Deadline: st.Deadline})
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

// Without its key a row is reported as broken, and holds up no other.
func TestLostKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.db")
	s := open(t, path, keyring(t, 1))
	first := waiting(t, s, "car-1", "anna")
	s.Close()
	s = open(t, path, keyring(t, 2, 1))
	waiting(t, s, "car-2", "bela")
	s.Close()
	s = open(t, path, keyring(t, 2))
	claimed, err := s.ClaimPolls(ctx, now.Add(time.Minute), now.Add(2*time.Minute), 10)
	if err != nil || len(claimed) != 2 {
		t.Fatalf("claimed %d, %v", len(claimed), err)
	}
	for _, r := range claimed {
		if (r.Broken != nil) != (r.Key == first.Key) {
			t.Errorf("%s: broken: %v", r.Device, r.Broken)
		}
	}
	s.Close()
	if _, err := store.Open(ctx, store.Config{Path: path, Keys: keyring(t, 3)}); err == nil || !strings.Contains(err.Error(), "not among the keys given") {
		t.Fatalf("opened with none of its keys: %v", err)
	}
}

// A key that was rotated out may go once all is resealed.
func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.db")
	s := open(t, path, keyring(t, 1))
	handles := make(map[int]schemas.Handle)
	for i := range 25 {
		k := waiting(t, s, "car-1", fmt.Sprint(i)).Key
		handles[i] = schemas.NewHandle()
		p := store.Pairing{Device: k.Device, Issuer: "i", Subject: fmt.Sprint(i), Hint: store.Hint{Kind: store.LoginHint, Value: fmt.Sprint("hint", i)}, Name: "n"}
		if ok, err := s.Grant(ctx, ending(k, "granted"), store.Grant{Pairing: p, Handle: handles[i], Expires: now.Add(time.Hour)}); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	s.Close()
	s = open(t, path, keyring(t, 2, 1))
	total := 0
	for {
		n, err := s.Reseal(ctx, 10)
		if err != nil {
			t.Fatal(err)
		}
		if total += n; n == 0 {
			break
		}
	}
	if total != 25 {
		t.Errorf("resealed %d, want 25", total)
	}
	s.Close()
	s = open(t, path, keyring(t, 2))
	for i, h := range handles {
		p, ok, err := s.ByHandle(ctx, "car-1", h)
		if err != nil || !ok || p.Hint.Value != fmt.Sprint("hint", i) || p.Name != "n" || p.Subject != fmt.Sprint(i) {
			t.Errorf("handle %d: %+v, %t, %v", i, p, ok, err)
		}
	}
	if who, err := s.WhoIs(ctx, "i", store.Hint{Kind: store.LoginHint, Value: "hint7"}); err != nil || who != s.Subject("i", "7") {
		t.Errorf("hashes have changed with the key: %v", err)
	}
}

func TestKeyring(t *testing.T) {
	good := bytes.Repeat([]byte{1}, store.KeySize)
	for name, keys := range map[string][][]byte{"none": nil, "short": {good[1:]}, "twice": {good, good}} {
		if _, err := store.NewKeyring(keys...); err == nil {
			t.Errorf("%s: accepted", name)
		}
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

// Whatever many writers do at once, one person gets one open request and one
// name one row.
func TestBeginAtOnce(t *testing.T) {
	s := newStore(t)
	same := start(s, "car-1", "anna")
	var mu sync.Mutex
	verdicts := make(map[store.Verdict]int)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			st := same
			if i%2 == 0 {
				st = start(s, fmt.Sprintf("car-%d", i), "anna")
			}
			b, err := s.Begin(ctx, st)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			verdicts[b.Verdict]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if verdicts[store.Started] != 1 || verdicts[store.Known]+verdicts[store.PersonBusy] != 199 {
		t.Errorf("verdicts %v", verdicts)
	}
}

// A write that fails takes no other with it.
func TestBatchIsolation(t *testing.T) {
	s := newStore(t)
	bad := start(s, "car-bad", "bad")
	begin(t, s, bad)
	if ok, err := s.Rang(ctx, bad.Key, bad.Details, ciba.Poll{}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if i%10 == 3 { // a grant twice under one handle breaks a key of the table
				k := waiting(t, s, fmt.Sprintf("twin-%d", i), fmt.Sprint("twin", i)).Key
				g := store.Grant{Pairing: store.Pairing{Device: "shared", Issuer: "i", Subject: "s"}, Handle: schemas.Handle{9}, Expires: now.Add(time.Hour)}
				if _, err := s.Grant(ctx, ending(k, "granted"), g); err != nil {
					r, _, _ := s.Find(ctx, k)
					if r.State != store.Waiting {
						t.Errorf("half of a failed write is stored: %v", r.State)
					}
				}
				return
			}
			begin(t, s, start(s, fmt.Sprintf("car-%d", i), fmt.Sprint("person", i)))
		})
	}
	wg.Wait()
	if n, err := s.Open(ctx); err != nil || n != 1+90+9 {
		t.Errorf("%d open, %v; want the 90 good ones, the first, and the 9 whose grant failed", n, err)
	}
}

func TestTooMany(t *testing.T) {
	s := newStore(t)
	for i := range store.MaxPerDevice {
		begin(t, s, start(s, "car-1", fmt.Sprint(i)))
	}
	if b, err := s.Begin(ctx, start(s, "car-1", "one more")); err != nil || b.Verdict != store.TooMany {
		t.Errorf("%+v, %v", b, err)
	}
	if _, err := s.Reject(ctx, ending(store.Key{Device: "car-1", ID: schemas.NewID()}, "x")); !errors.Is(err, store.ErrTooMany) {
		t.Errorf("reject: %v", err)
	}
	begin(t, s, start(s, "car-2", "one more"))
}

// A quota that refuses takes nothing from the others.
func TestQuotasAreAllOrNothing(t *testing.T) {
	s := newStore(t)
	roomy, tight := policy.Rate{Burst: 3, Every: time.Hour}, policy.Rate{Burst: 1, Every: time.Hour}
	ask := func(who, quota string) store.Begun {
		st := start(s, who, who)
		st.Quotas = []store.Quota{{Name: "roomy", Rate: roomy}, {Name: quota, Rate: tight}, {Name: "no limit"}}
		b, err := s.Begin(ctx, st)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if b := ask("a", "tight"); b.Verdict != store.Started {
		t.Fatalf("%+v", b)
	}
	for range 5 {
		if b := ask("b", "tight"); b.Verdict != store.OverQuota || b.Quota != "tight" || b.Wait != time.Hour {
			t.Fatalf("%+v", b)
		}
	}
	for i := range 2 {
		if b := ask(fmt.Sprint("c", i), fmt.Sprint("t", i)); b.Verdict != store.Started {
			t.Errorf("refusals have emptied another bucket: %+v", b)
		}
	}
	if b := ask("d", "t9"); b.Quota != "roomy" {
		t.Errorf("%+v", b)
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
