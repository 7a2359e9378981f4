package store_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// An alias opens wherever the keys are, also after a rotation, and shows nothing.
func TestAlias(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := open(t, db, keyring(t, 1))
		for _, device := range []string{"c", "car-1", strings.Repeat("z", 64)} {
			k := store.Key{Device: schemas.DeviceID(device), ID: schemas.NewID()}
			alias, again := s.Alias(k), s.Alias(k)
			if alias == again {
				t.Errorf("%s: two aliases are the same", device)
			}
			if len(alias) > 160 || strings.ContainsFunc(alias, func(r rune) bool {
				return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", r)
			}) {
				t.Errorf("%s: alias %q of %d characters", device, alias, len(alias))
			}
			for _, a := range []string{alias, again} {
				if got, err := s.Unalias(a); got != k || err != nil {
					t.Errorf("%s: got %v, %v", device, got, err)
				}
			}
		}
		k := store.Key{Device: "car-1", ID: schemas.NewID()}
		old := s.Alias(k)
		s.Close()
		s = open(t, db, keyring(t, 2, 1))
		for _, alias := range []string{old, s.Alias(k)} {
			if got, err := s.Unalias(alias); got != k || err != nil {
				t.Errorf("after a rotation: got %v, %v", got, err)
			}
		}
	})
}

// What is no alias of this database opens as nothing.
func TestUnaliasForeign(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		k := store.Key{Device: "car-1", ID: schemas.NewID()}
		good := s.Alias(k)
		flipped := []byte(good)
		flipped[len(flipped)/2] ^= 1
		for name, alias := range map[string]string{
			"nothing":       "",
			"text":          "car-1/0102030405060708",
			"changed":       string(flipped),
			"cut":           good[:len(good)-4],
			"of other keys": open(t, sqlite(t), keyring(t, 9)).Alias(k),
		} {
			if got, err := s.Unalias(alias); err == nil {
				t.Errorf("%s: got %v", name, got)
			}
		}
	})
}

// Derived keys are the database's own, and stay.
func TestDeriveKey(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		derive := func(s *store.Store, purpose string) []byte {
			t.Helper()
			key, err := s.DeriveKey(purpose)
			if err != nil || len(key) != store.KeySize {
				t.Fatalf("%d bytes, %v", len(key), err)
			}
			return key
		}
		s := open(t, db, keyring(t, 1))
		key := derive(s, "one purpose")
		if bytes.Equal(key, derive(s, "another")) || bytes.Equal(key, derive(newStore(t, sqlite(t)), "one purpose")) {
			t.Error("two keys are the same")
		}
		s.Close()
		if s = open(t, db, keyring(t, 2, 1)); !bytes.Equal(key, derive(s, "one purpose")) {
			t.Error("the key has changed with the keyring")
		}
	})
}
