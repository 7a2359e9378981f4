package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
)

// However many sign-ins there have been, there are as many rows as belong to the
// last ones: rate times lifetime.
func TestFlat(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		const (
			batch = 20 // in each
			step  = 10 * time.Second
			waits = step // for the person
		)
		fills := 30 * time.Second // a bucket that has given one
		rows := func(table string) (n int) {
			t.Helper()
			if err := raw(t, db).QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		var before []store.Start
		for i := range 3 * int(store.Tombstone/step) {
			at := now.Add(time.Duration(i) * step)
			for _, st := range before {
				e := ending(st.Key, "expired")
				e.Now, e.Until = at, at.Add(10*time.Minute)
				if ok, err := s.Refuse(ctx, e); !ok || err != nil {
					t.Fatal(ok, err)
				}
				if _, ok, err := s.Receipt(ctx, st.Key, at); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
			before = nil
			for j := range batch {
				st := start(s, fmt.Sprintf("car-%d-%d", i, j), fmt.Sprint(i, j))
				st.Now, st.Due, st.Deadline = at, at.Add(45*time.Second), at.Add(2*time.Minute)
				st.Quotas = []store.Quota{{Name: "device " + string(st.Device), Rate: policy.Rate{Burst: 5, Every: fills}}}
				begin(t, s, st)
				poll := ciba.Poll{Interval: 5 * time.Second, Due: at.Add(5 * time.Second), Deadline: st.Deadline}
				if ok, err := s.Rang(ctx, st.Key, st.Details, poll, at); !ok || err != nil {
					t.Fatal(ok, err)
				}
				before = append(before, st)
			}
			if _, err := s.Sweep(ctx, at, 1000); err != nil {
				t.Fatal(err)
			}
			if i%10 != 9 {
				continue
			}
			most := batch * int((waits+store.Tombstone+step)/step)
			if n := rows("requests"); n > most {
				t.Fatalf("after %d sign-ins there are %d requests, want at most %d", (i+1)*batch, n, most)
			}
			most = batch * int((fills+step)/step)
			if n := rows("quotas"); n > most {
				t.Fatalf("after %d sign-ins there are %d quotas, want at most %d", (i+1)*batch, n, most)
			}
		}
	})
}
