package store_test

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// A register gives devices the names that they have in the log, beside a bridge
// and without one, and lists them.
func TestRegister(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		for _, d := range []string{"car-2", "car-1"} {
			cert := mtlstest.New(t).Device(d)
			if err := s.PutChain(ctx, schemas.DeviceID(d), []*x509.Certificate{cert.Leaf}, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		want := s.Pseudonym("car-1")
		if len(want) != 16 || want == s.Pseudonym("car-2") || strings.Contains(want, "car") {
			t.Errorf("pseudonym %q", want)
		}
		look := func(keys *store.Keyring) (string, []schemas.DeviceID) {
			t.Helper()
			r, err := store.OpenRegister(ctx, store.Config{Database: db, Keys: keys})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var all []schemas.DeviceID
			if err := r.Devices(ctx, func(d schemas.DeviceID) error { all = append(all, d); return nil }); err != nil {
				t.Fatal(err)
			}
			return r.Pseudonym("car-1"), all
		}
		if got, all := look(keyring(t, 1)); got != want || !slices.Equal(all, []schemas.DeviceID{"car-1", "car-2"}) {
			t.Errorf("beside a bridge: %q and %q, want %q", got, all, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got, _ := look(keyring(t, 2, 1)); got != want {
			t.Errorf("without a bridge: %q, want %q", got, want)
		}
		if _, err := store.OpenRegister(ctx, store.Config{Database: db, Keys: keyring(t, 2)}); err == nil {
			t.Error("opened with another key")
		}
		if again := open(t, db, keyring(t, 2, 1)); again.Pseudonym("car-1") != want {
			t.Error("another pseudonym under another key")
		}
	})
}

// A register makes no database, and passes on why a list was ended.
func TestRegisterOfNothing(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		if _, err := store.OpenRegister(ctx, store.Config{Database: db, Keys: keyring(t, 1)}); err == nil {
			t.Fatal("a register of nothing")
		}
		s := newStore(t, db) // finds no tables
		cert := mtlstest.New(t).Device("car-1")
		if err := s.PutChain(ctx, "car-1", []*x509.Certificate{cert.Leaf}, time.Now()); err != nil {
			t.Fatal(err)
		}
		r, err := store.OpenRegister(ctx, store.Config{Database: db, Keys: keyring(t, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		enough := errors.New("enough")
		if err := r.Devices(ctx, func(schemas.DeviceID) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("error %v, want that of the caller", err)
		}
	})
}
