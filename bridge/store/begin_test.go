package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// Whatever many writers do at once, one person gets one open request and one
// name one row.
func TestBeginAtOnce(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
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
	})
}

// A write that fails takes no other with it.
func TestBatchIsolation(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		bad := start(s, "car-bad", "bad")
		begin(t, s, bad)
		if ok, err := s.Rang(ctx, bad.Key, bad.Details, ciba.Poll{}, now); !ok || err != nil {
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
		if n, err := s.Count(ctx); err != nil || n[store.Ringing]+n[store.Waiting] != 1+90+9 {
			t.Errorf("%v open, %v; want the 90 good ones, the first, and the 9 whose grant failed", n, err)
		}
	})
}

func TestTooMany(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
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
	})
}

// A quota that refuses takes nothing from the others.
func TestQuotasAreAllOrNothing(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
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
	})
}

// A clock that was years ahead for a moment shuts nobody out for years: a bucket
// that was filled then is an empty one now.
func TestQuotaOfTheFuture(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		rate := policy.Rate{Burst: 2, Every: time.Minute}
		ask := func(who string, at time.Time) store.Begun {
			st := start(s, who, who)
			st.Now, st.Quotas = at, []store.Quota{{Name: "q", Rate: rate}}
			b, err := s.Begin(ctx, st)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		if b := ask("a", now.AddDate(10, 0, 0)); b.Verdict != store.Started {
			t.Fatalf("%+v", b)
		}
		if b := ask("b", now); b.Verdict != store.OverQuota || b.Wait != rate.Every {
			t.Errorf("the clock was set back: %+v", b)
		}
		if b := ask("c", now.Add(30*time.Second)); b.Verdict != store.OverQuota || b.Wait != rate.Every/2 {
			t.Errorf("later: %+v", b)
		}
		if b := ask("d", now.Add(rate.Every)); b.Verdict != store.Started {
			t.Errorf("when the wait is over: %+v", b)
		}
	})
}
