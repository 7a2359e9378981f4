package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/store"
)

// after pauses from the third failure on.
func after(pause time.Duration) func(int) time.Duration {
	return func(failures int) time.Duration {
		if failures < 3 {
			return 0
		}
		return pause
	}
}

// A provider that has failed often enough is shut to all, then to all but one,
// and open again once it has answered.
func TestCircuit(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		const op = "https://op.test"
		try := func(n int, when time.Time) store.Begun {
			t.Helper()
			st := start(s, fmt.Sprintf("car-%d", n), fmt.Sprint("person-", n))
			st.Provider, st.Now, st.Due = op, when, when.Add(45*time.Second)
			b, err := s.Begin(ctx, st)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		for want := 1; want <= 2; want++ {
			if n, err := s.Failed(ctx, op, now, after(time.Minute)); n != want || err != nil {
				t.Fatalf("failure %d: %d, %v", want, n, err)
			}
		}
		if b := try(1, now); b.Verdict != store.Started || !b.Failed {
			t.Errorf("after two failures: %+v", b)
		}
		if _, err := s.Failed(ctx, op, now, after(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if b := try(2, now.Add(20*time.Second)); b.Verdict != store.ProviderDown || b.Wait != 40*time.Second {
			t.Errorf("while it is shut: %+v", b)
		}
		if b := try(3, now.Add(time.Minute)); b.Verdict != store.Started || !b.Failed {
			t.Errorf("the first when its time has come: %+v", b)
		}
		if b := try(4, now.Add(time.Minute)); b.Verdict != store.ProviderDown || b.Wait != 45*time.Second {
			t.Errorf("the second: %+v", b)
		}
		if err := s.Answered(ctx, op); err != nil {
			t.Fatal(err)
		}
		if b := try(5, now.Add(time.Minute)); b.Verdict != store.Started || b.Failed {
			t.Errorf("when it has answered: %+v", b)
		}
	})
}

// However many try at once when the time has come, one gets through, and the
// others pay nothing.
func TestCircuitLetsOneTry(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		for range 3 {
			if _, err := s.Failed(ctx, "op", now, after(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		verdicts := map[store.Verdict]int{}
		for i := range 50 {
			wg.Go(func() {
				st := start(s, fmt.Sprintf("car-%d", i), fmt.Sprint("person-", i))
				st.Provider, st.Now, st.Due = "op", now.Add(2*time.Second), now.Add(47*time.Second)
				b, err := s.Begin(ctx, st)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				verdicts[b.Verdict]++
			})
		}
		wg.Wait()
		if verdicts[store.Started] != 1 || verdicts[store.ProviderDown] != 49 {
			t.Errorf("verdicts %v", verdicts)
		}
		var n int
		if err := raw(t, db).QueryRow("SELECT count(*) FROM requests").Scan(&n); n != 1 || err != nil {
			t.Errorf("%d requests are stored, %v", n, err)
		}
	})
}

// Only so many phones are about to ring at the same time, whoever rings them.
func TestRinging(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		for i := range 4 {
			st := start(s, fmt.Sprintf("car-%d", i), fmt.Sprint("person-", i))
			st.Ringing = 3
			want := store.Started
			if i == 3 {
				want = store.ProviderBusy
			}
			if b, err := s.Begin(ctx, st); b.Verdict != want || err != nil {
				t.Errorf("sign-in %d: %+v, %v", i+1, b, err)
			}
		}
	})
}
