package store_test

import (
	"crypto/x509"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// grant signs a person in, for good, and returns the handle.
func grant(t testing.TB, s *store.Store, device, person, refresh string, at time.Time) (store.Key, schemas.Handle) {
	t.Helper()
	k := waiting(t, s, device, person).Key
	h := schemas.NewHandle()
	e := ending(k, "granted")
	e.Now = at
	g := store.Grant{
		Pairing: store.Pairing{Device: k.Device, Issuer: "i", Subject: person, Hint: store.Hint{Kind: store.LoginHint, Value: person}},
		Handle:  h, RenewUntil: at.Add(30 * time.Minute), Expires: at.Add(time.Hour),
	}
	if refresh != "" {
		g.Renewal = &store.Renewal{Refresh: refresh, Kind: schemas.Car, Scope: []string{"seat"}}
	}
	ok, err := s.Grant(ctx, e, g)
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
		if err != nil || !ok || got.Renewal.Refresh != "refresh-anna" || got.Subject != "anna" || !got.RenewUntil.Equal(now.Add(30*time.Minute)) {
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
		revocations := func() (tokens []string) {
			t.Helper()
			claimed, err := s.ClaimRevocations(ctx, now.Add(time.Hour), 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range claimed {
				if r.Broken != nil || r.Issuer != "i" || r.Session.Device != "car-1" {
					t.Errorf("revocation %+v", r)
				}
				tokens = append(tokens, r.Token)
				if err := s.Revoked(ctx, r); err != nil {
					t.Fatal(err)
				}
			}
			slices.Sort(tokens)
			return tokens
		}
		if got := revocations(); fmt.Sprint(got) != "[refresh-0 refresh-1 refresh-2 refresh-3]" {
			t.Errorf("to be revoked, of the oldest of 20 sessions: %v", got)
		}
		if done, err := s.SignOut(ctx, one, []schemas.ID{k.ID, schemas.NewID()}); err != nil || !done {
			t.Errorf("sign-out: %t, %v", done, err)
		}
		if got := revocations(); fmt.Sprint(got) != "[refresh-anna]" {
			t.Errorf("to be revoked: %v", got)
		}
		if done, err := s.SignOut(ctx, one, nil); done || err != nil {
			t.Errorf("the same sign-out again: %t, %v", done, err)
		}
		every := ending(store.Key{Device: "car-1", ID: schemas.NewID()}, "signed_out")
		if done, err := s.SignOut(ctx, every, nil); !done || err != nil {
			t.Errorf("all: %t, %v", done, err)
		}
		if got := revocations(); len(got) != 16 {
			t.Errorf("to be revoked, of all: %v", got)
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

// Devices that could renew a session come in pages, each once, with the
// certificate that they have introduced last.
func TestRenewing(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		ca := mtlstest.New(t)
		latest := make(map[schemas.DeviceID]*x509.Certificate)
		for i := range 5 {
			d := schemas.DeviceID(fmt.Sprintf("car-%d", i))
			for at := range 2 {
				latest[d] = ca.Device(string(d)).Leaf
				if err := s.PutChain(ctx, d, []*x509.Certificate{latest[d], ca.Intermediate}, now.Add(time.Duration(at)*time.Second)); err != nil {
					t.Fatal(err)
				}
			}
			refresh := "refresh"
			if i == 2 {
				refresh = ""
			}
			grant(t, s, string(d), fmt.Sprint("anna", i), refresh, now)
			grant(t, s, string(d), fmt.Sprint("bela", i), refresh, now)
		}
		var got []string
		for after := schemas.DeviceID(""); ; {
			page, err := s.Renewing(ctx, after, 3)
			if err != nil || len(page) > 3 {
				t.Fatalf("%d devices, %v", len(page), err)
			}
			for _, d := range page {
				got = append(got, string(d.ID))
				if !d.Leaf.Equal(latest[d.ID]) {
					t.Errorf("%s with an old certificate", d.ID)
				}
			}
			if len(page) == 0 {
				break
			}
			after = page[len(page)-1].ID
		}
		if fmt.Sprint(got) != "[car-0 car-1 car-3 car-4]" {
			t.Errorf("devices %v", got)
		}
	})
}

// Bridges count that were seen since, on PostgreSQL. An SQLite file has one.
func TestLiving(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		seen := time.Now()
		living := func(since time.Time, want int) {
			t.Helper()
			if _, one := db.(store.SQLite); one {
				want = 1
			}
			if n, err := s.Living(ctx, since); n != want || err != nil {
				t.Errorf("%d live, %v; want %d", n, err, want)
			}
		}
		living(seen, 1) // the one that asks, if nobody else
		ca := mtlstest.New(t)
		put := func(leaf *x509.Certificate, at time.Time) {
			t.Helper()
			if err := s.PutBridge(ctx, leaf, at); err != nil {
				t.Fatal(err)
			}
		}
		first, second := ca.Bridge("b1").Leaf, ca.Bridge("b2").Leaf
		put(first, seen)
		put(second, seen.Add(-10*time.Second))
		put(ca.Bridge("b3").Leaf, seen.Add(-time.Hour))
		living(seen.Add(-10*time.Second), 2)
		living(seen.Add(-10*time.Second+time.Millisecond), 1)
		put(second, seen)
		living(seen, 2)
		living(seen.Add(time.Second), 1)
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
		leaf, err := x509.ParseCertificate(first[0])
		if err != nil {
			t.Fatal(err)
		}
		kid := schemas.KeyIDOf(leaf)
		if found, err := s.Bridge(ctx, kid, seen); err != nil || string(found) != string(first[0]) {
			t.Errorf("by its key: %d bytes, %v", len(found), err)
		}
		if found, err := s.Bridge(ctx, kid, leaf.NotAfter); err != nil || found != nil {
			t.Errorf("when it has expired: %d bytes, %v", len(found), err)
		}
		if found, err := s.Bridge(ctx, schemas.KeyID{1}, seen); err != nil || found != nil {
			t.Errorf("by another key: %d bytes, %v", len(found), err)
		}
	})
}
