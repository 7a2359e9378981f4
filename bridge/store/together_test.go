package store_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// still returns a store that nobody runs, for store.Store.Together.
func still(t *testing.T, db store.Database) *store.Store {
	t.Helper()
	s, err := store.Open(ctx, store.Config{Database: db, Keys: keyring(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// verdicts counts what n say that begin, all of them at (once, or together).
func verdicts(t *testing.T, at func(n int, do func(i int)), n int, begin func(i int) (store.Begun, error)) map[store.Verdict]int {
	t.Helper()
	var mu sync.Mutex
	counts := make(map[store.Verdict]int)
	at(n, func(i int) {
		b, err := begin(i)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		counts[b.Verdict]++
	})
	return counts
}

// Sign-ins that begin in one transaction count for each other as if they had begun
// one after the other.
func TestBeginTogether(t *testing.T) {
	quota := []store.Quota{{Name: "shared", Rate: policy.Rate{Burst: 3, Every: time.Hour}}}
	for _, c := range []struct {
		name string
		n    int
		edit func(i int, st *store.Start)
		want map[store.Verdict]int
	}{
		{"nothing in common", 300, func(int, *store.Start) {}, map[store.Verdict]int{store.Started: 300}},
		{"request", 40, func(i int, st *store.Start) { st.Device, st.ID = "car-1", schemas.ID{1} },
			map[store.Verdict]int{store.Started: 1, store.Known: 39}},
		{"person", 40, func(_ int, st *store.Start) { st.Person = store.Person{1} },
			map[store.Verdict]int{store.Started: 1, store.PersonBusy: 39}},
		{"device", 300, func(_ int, st *store.Start) { st.Device = "car-1" },
			map[store.Verdict]int{store.Started: store.MaxPerDevice, store.TooMany: 300 - store.MaxPerDevice}},
		{"quota", 40, func(_ int, st *store.Start) { st.Quotas = quota },
			map[store.Verdict]int{store.Started: 3, store.OverQuota: 37}},
		{"ringing", 40, func(_ int, st *store.Start) { st.Ringing = 5 },
			map[store.Verdict]int{store.Started: 5, store.ProviderBusy: 35}},
		{"circuit and quota", 40, func(_ int, st *store.Start) { st.Provider, st.Quotas = "shaky", quota },
			map[store.Verdict]int{store.Started: 1, store.ProviderDown: 39}},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, db store.Database) {
				s := still(t, db)
				s.Together(3, func(int) {
					if _, err := s.Failed(ctx, "shaky", now.Add(-time.Hour), after(time.Second)); err != nil {
						t.Error(err)
					}
				})
				got := verdicts(t, s.Together, c.n, func(i int) (store.Begun, error) {
					st := start(s, fmt.Sprintf("car-%d", i), fmt.Sprint("person-", i))
					c.edit(i, &st)
					return s.Begin(ctx, st)
				})
				if !maps.Equal(got, c.want) {
					t.Errorf("verdicts %v, want %v", got, c.want)
				}
				var rows int
				if err := raw(t, db).QueryRow("SELECT count(*) FROM requests").Scan(&rows); err != nil || rows != c.want[store.Started] {
					t.Errorf("%d requests are stored, %v", rows, err)
				}
			})
		})
	}
}

// granting is what is stored of a person's grant on a device.
func granting(k store.Key, person string) store.Grant {
	return store.Grant{
		Person:  store.Person{1},
		Pairing: store.Pairing{Device: k.Device, Issuer: "i", Subject: person, Hint: store.Hint{Kind: store.LoginHint, Value: person}},
		Handle:  schemas.NewHandle(), RenewUntil: now.Add(time.Hour), Expires: now.Add(time.Hour),
		Renewal: &store.Renewal{Refresh: fmt.Sprintf("refresh-%s-%v", person, k.ID), Kind: schemas.Car, Scope: []string{"seat"}},
	}
}

// Of the grants in one transaction, those count whose request waits, and each
// person keeps the last sessions on each device.
func TestGrantsTogether(t *testing.T) {
	const people, sessions = 5, 18 // of each; two people share a device
	each(t, func(t *testing.T, db store.Database) {
		s := still(t, db)
		keys := make([]store.Key, people*sessions)
		begins := make([]store.Start, len(keys))
		s.Together(len(keys), func(i int) {
			begins[i] = start(s, fmt.Sprintf("till-%d", i%people/2), fmt.Sprint("phone-", i)) // several phones, one account
			keys[i] = begins[i].Key
			if b, err := s.Begin(ctx, begins[i]); err != nil || b.Verdict != store.Started {
				t.Errorf("%+v, %v", b, err)
			}
		})
		const first = 3 // do not wait yet
		s.Together(len(keys)-first, func(i int) {
			st := begins[i+first]
			if ok, err := s.Rang(ctx, st.Key, st.Details, ciba.Poll{Deadline: st.Deadline}, now); !ok || err != nil {
				t.Errorf("rang: %t, %v", ok, err)
			}
		})
		grants := make([]store.Grant, len(keys))
		s.Together(len(keys), func(i int) {
			grants[i] = granting(keys[i], fmt.Sprint("person-", i%people))
			if ok, err := s.Grant(ctx, ending(keys[i], "granted"), grants[i]); ok != (i >= first) || err != nil {
				t.Errorf("grant %d: %t, %v", i, ok, err)
			}
		})
		for i, g := range grants {
			if p, ok, err := s.ByHandle(ctx, keys[i].Device, g.Handle); ok != (i >= first) || err != nil || ok && p.Subject != fmt.Sprint("person-", i%people) {
				t.Errorf("handle %d: %+v, %t, %v", i, p, ok, err)
			}
		}
		var revoked int
		if err := raw(t, db).QueryRow("SELECT count(*) FROM revocations").Scan(&revoked); err != nil || revoked != people*(sessions-16)-first {
			t.Errorf("%d tokens are to be revoked, %v; want those of all sessions but 16 of each person", revoked, err)
		}
		for i := range people {
			d, who := schemas.DeviceID(fmt.Sprintf("till-%d", i/2)), fmt.Sprint("person-", i)
			if ids, err := s.Sessions(ctx, d, "i", who, now); err != nil || len(ids) != 16 {
				t.Errorf("%d sessions of %s, %v; want the last 16", len(ids), who, err)
			}
		}
	})
}

// Of the receipts in one transaction, each ends its answer, and the newest grant of
// a person makes the older handles void. The second receipt of an answer does
// nothing.
func TestReceiptsTogether(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		var keys []store.Key // of answers
		var handles []schemas.Handle
		for i := range 12 { // two of each of six
			k, h := grant(t, s, "till-1", fmt.Sprint("person-", i%6), "", now.Add(time.Duration(1+i)*time.Second))
			keys, handles = append(keys, k), append(handles, h)
		}
		refused := waiting(t, s, "till-1", "bela").Key
		if ok, err := s.Refuse(ctx, ending(refused, "refused")); !ok || err != nil {
			t.Fatal(ok, err)
		}
		keys = append(keys, refused)
		again := waiting(t, s, "till-1", "chidi").Key // has no answer yet
		keys = append(keys, again)
		s.Close()

		s = still(t, db)
		granted := make([]time.Time, 2*len(keys))
		known := make([]bool, 2*len(keys))
		s.Together(2*len(keys), func(i int) {
			var err error
			if granted[i], known[i], err = s.Receipt(ctx, keys[i/2], now); err != nil {
				t.Error(err)
			}
		})
		for i, k := range keys {
			if got, want := known[2*i] != known[2*i+1], k != again; got != want {
				t.Errorf("receipt %d is known: %t and %t", i, known[2*i], known[2*i+1])
			}
			var want time.Time
			if i < len(handles) {
				want = now.Add(time.Duration(1+i) * time.Second)
			}
			for j := 2 * i; j < 2*i+2; j++ {
				if known[j] && !granted[j].Equal(want) || !known[j] && !granted[j].IsZero() {
					t.Errorf("receipt %d: granted at %v, want %v", i, granted[j], want)
				}
			}
		}
		for i, h := range handles {
			if _, ok, err := s.ByHandle(ctx, "till-1", h); ok != (i >= 6) || err != nil {
				t.Errorf("handle %d is good: %t, %v", i, ok, err)
			}
		}
	})
}

// A receipt that comes when the delivery was given up makes no handle void.
func TestReceiptAfterLapse(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		_, first := grant(t, s, "car-1", "anna", "", now)
		lapsed, _ := grant(t, s, "car-1", "anna", "", now.Add(time.Second))
		at := now.Add(11 * time.Minute)
		if _, err := s.Sweep(ctx, at, 100); err != nil {
			t.Fatal(err)
		}
		if granted, known, err := s.Receipt(ctx, lapsed, at); known || !granted.IsZero() || err != nil {
			t.Errorf("granted at %v, %t, %v", granted, known, err)
		}
		if _, ok, err := s.ByHandle(ctx, "car-1", first); !ok || err != nil {
			t.Errorf("the older handle is good: %t, %v", ok, err)
		}
	})
}
