package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"

	"crypto/x509"
)

// grant signs a person in and returns the handle.
func grant(t testing.TB, s *store.Store, device, person, refresh string, at time.Time) (store.Key, schemas.Handle) {
	t.Helper()
	k := waiting(t, s, device, person).Key
	h := schemas.NewHandle()
	e := ending(k, "granted")
	e.Now = at
	ok, err := s.Grant(ctx, e, store.Grant{
		Pairing: store.Pairing{Device: k.Device, Issuer: "i", Subject: person, Hint: store.Hint{Kind: store.LoginHint, Value: person}},
		Handle:  h, Refresh: refresh, Expires: at.Add(time.Hour),
	})
	if !ok || err != nil {
		t.Fatalf("grant: %t, %v", ok, err)
	}
	return k, h
}

func TestHandles(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		k1, h1 := grant(t, s, "car-1", "anna", "", now)
		k2, h2 := grant(t, s, "car-1", "anna", "", now.Add(time.Minute))
		k3, h3 := grant(t, s, "car-1", "anna", "", now.Add(2*time.Minute))
		_, other := grant(t, s, "car-1", "bela", "", now)
		good := func(hs ...schemas.Handle) {
			t.Helper()
			want := make(map[schemas.Handle]bool)
			for _, h := range hs {
				want[h] = true
			}
			for _, h := range []schemas.Handle{h1, h2, h3, other} {
				if _, ok, err := s.ByHandle(ctx, "car-1", h); ok != want[h] || err != nil {
					t.Errorf("handle %v is good: %t, %v", h, ok, err)
				}
			}
		}
		receipt := func(k store.Key) {
			t.Helper()
			if _, ok, err := s.Receipt(ctx, k, now); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		good(h1, h2, h3, other)
		receipt(k2)
		good(h2, h3, other)
		receipt(k1) // late
		good(h2, h3, other)
		receipt(k3)
		good(h3, other)
		if _, ok, _ := s.ByHandle(ctx, "car-2", h3); ok {
			t.Error("a handle is good on another device")
		}
		// A pairing that is not used goes, with its handles.
		if _, err := s.Sweep(ctx, now.Add(401*24*time.Hour), 100); err != nil {
			t.Fatal(err)
		}
		good()
	})
}

func TestSessions(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		k, _ := grant(t, s, "car-1", "anna", "refresh-anna", now)
		for i := range 20 {
			key, _ := grant(t, s, "car-1", "bela", fmt.Sprint("refresh-", i), now.Add(time.Duration(i)*time.Second))
			if _, ok, err := s.Receipt(ctx, key, now.Add(-store.Tombstone)); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		got, ok, err := s.Session(ctx, k, now)
		if err != nil || !ok || got.Refresh != "refresh-anna" || got.Subject != "anna" {
			t.Errorf("session %+v, %t, %v", got, ok, err)
		}
		if _, ok, _ := s.Session(ctx, k, now.Add(time.Hour)); ok {
			t.Error("a session is good after its end")
		}
		if _, err := s.Sweep(ctx, now, 100); err != nil {
			t.Fatal(err)
		}
		if ids, err := s.Sessions(ctx, "car-1", "i", "bela", now); err != nil || len(ids) != 16 {
			t.Errorf("%d sessions, %v; want the last 16", len(ids), err)
		}
		one := ending(store.Key{Device: "car-1", ID: schemas.NewID()}, "signed_out")
		refresh, done, err := s.SignOut(ctx, one, []schemas.ID{k.ID, schemas.NewID()})
		if err != nil || !done || len(refresh) != 1 || refresh[0] != "refresh-anna" {
			t.Errorf("sign-out: %v, %t, %v", refresh, done, err)
		}
		if refresh, done, err := s.SignOut(ctx, one, nil); done || len(refresh) != 0 || err != nil {
			t.Errorf("the same sign-out again: %v, %t, %v", refresh, done, err)
		}
		every := ending(store.Key{Device: "car-1", ID: schemas.NewID()}, "signed_out")
		if refresh, done, err := s.SignOut(ctx, every, nil); !done || len(refresh) != 16 || err != nil {
			t.Errorf("all: %d refresh tokens, %t, %v", len(refresh), done, err)
		}
	})
}

func TestChains(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		ca := mtlstest.New(t)
		var kids []schemas.KeyID
		for i := range 6 {
			leaf := ca.Device("car-1").Leaf
			kids = append(kids, schemas.KeyIDOf(leaf))
			if err := s.PutChain(ctx, "car-1", []*x509.Certificate{leaf, ca.Intermediate}, now.Add(time.Duration(i)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		for i, kid := range kids {
			chain, ok, err := s.Chain(ctx, "car-1", kid)
			if err != nil || ok != (i >= 2) || ok && len(chain) != 2 {
				t.Errorf("chain %d: %d certificates, %t, %v; want the last four", i, len(chain), ok, err)
			}
		}
		if _, ok, _ := s.Chain(ctx, "car-2", kids[5]); ok {
			t.Error("a chain of another device")
		}
		if _, err := s.Sweep(ctx, time.Now().Add(31*24*time.Hour), 100); err != nil {
			t.Fatal(err)
		}
		if _, ok, _ := s.Chain(ctx, "car-1", kids[5]); ok {
			t.Error("an expired chain is kept")
		}
	})
}

func TestBridges(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		ca := mtlstest.New(t)
		seen := time.Now()
		for i := range 4 {
			if err := s.PutBridge(ctx, ca.Bridge("b1").Leaf, seen.Add(-time.Duration(i)*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		first, err := s.Bridges(ctx, seen, seen.Add(-150*time.Minute), 9)
		if err != nil || len(first) != 3 {
			t.Errorf("%d bridges, %v; want the three seen lately", len(first), err)
		}
		again, _ := s.Bridges(ctx, seen, seen.Add(-150*time.Minute), 9)
		if fmt.Sprint(first) != fmt.Sprint(again) {
			t.Error("the order changes")
		}
		if few, _ := s.Bridges(ctx, seen, seen.Add(-150*time.Minute), 2); len(few) != 2 {
			t.Errorf("%d bridges, want 2", len(few))
		}
		if old, _ := s.Bridges(ctx, seen.Add(31*24*time.Hour), time.Time{}, 9); len(old) != 0 {
			t.Errorf("%d bridges whose certificates have expired", len(old))
		}
	})
}
