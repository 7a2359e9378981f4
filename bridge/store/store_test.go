package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	each(t, func(t *testing.T, db store.Database) {
		s := open(t, db, keyring(t, 1))
		st := waiting(t, s, "car-1", "anna")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, db, keyring(t, 2, 1)) // a new key encrypts, the old one still opens
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
	})
}

func TestClosed(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
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
	})
}
