package store_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// Without its key a row is reported as broken, and holds up no other.
func TestLostKey(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := open(t, db, keyring(t, 1))
		first := waiting(t, s, "car-1", "anna")
		s.Close()
		s = open(t, db, keyring(t, 2, 1))
		waiting(t, s, "car-2", "bela")
		s.Close()
		s = open(t, db, keyring(t, 2))
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
		if _, err := store.Open(ctx, store.Config{Database: db, Keys: keyring(t, 3)}); err == nil || !strings.Contains(err.Error(), "not among the keys given") {
			t.Fatalf("opened with none of its keys: %v", err)
		}
	})
}

// A key that was rotated out may go once all is resealed.
func TestRotation(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := open(t, db, keyring(t, 1))
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
		s = open(t, db, keyring(t, 2, 1))
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
		s = open(t, db, keyring(t, 2))
		for i, h := range handles {
			p, ok, err := s.ByHandle(ctx, "car-1", h)
			if err != nil || !ok || p.Hint.Value != fmt.Sprint("hint", i) || p.Name != "n" || p.Subject != fmt.Sprint(i) {
				t.Errorf("handle %d: %+v, %t, %v", i, p, ok, err)
			}
		}
		if who, err := s.WhoIs(ctx, "i", store.Hint{Kind: store.LoginHint, Value: "hint7"}); err != nil || who != s.Subject("i", "7") {
			t.Errorf("hashes have changed with the key: %v", err)
		}
	})
}

func TestKeyring(t *testing.T) {
	good := bytes.Repeat([]byte{1}, store.KeySize)
	for name, keys := range map[string][][]byte{"none": nil, "short": {good[1:]}, "twice": {good, good}} {
		if _, err := store.NewKeyring(keys...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
