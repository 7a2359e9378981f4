package store_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// two returns two bridges' stores of one database.
func two(t *testing.T) [2]*store.Store {
	t.Helper()
	db := postgres(t)
	return [2]*store.Store{newStore(t, db), newStore(t, db)}
}

// While what begins waits for its turn at a provider, everything else goes on.
func TestTurnHoldsUpNothingElse(t *testing.T) {
	db := postgres(t)
	s, beside := newStore(t, db), raw(t, db)
	other, err := beside.Begin() // a bridge whose turn it is
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec("SELECT pg_advisory_xact_lock(hashtextextended('op', 0))"); err != nil {
		t.Fatal(err)
	}
	const n = 8 // more than there are writers
	begun := make(chan store.Begun, n)
	for i := range n {
		go func() {
			st := start(s, fmt.Sprintf("car-%d", i), fmt.Sprint("person-", i))
			st.Provider = "op"
			b, err := s.Begin(ctx, st)
			if err != nil {
				t.Error(err)
			}
			begun <- b
		}()
	}
	waits := func() (n int) {
		if err := beside.QueryRow("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for waits() == 0 {
	}
	for range 20 {
		if _, err := s.Reject(ctx, ending(store.Key{Device: "car-9", ID: schemas.NewID()}, "refused")); err != nil {
			t.Fatal(err)
		}
	}
	if len(begun) != 0 || waits() != 1 {
		t.Errorf("%d have begun out of turn, %d wait", len(begun), waits())
	}
	if err := other.Commit(); err != nil {
		t.Fatal(err)
	}
	for range n {
		if b := <-begun; b.Verdict != store.Started {
			t.Errorf("%+v", b)
		}
	}
}

// Two bridges that both find no bucket take from one and the same.
func TestQuotaOfTwoBridges(t *testing.T) {
	bridges := two(t)
	rate := policy.Rate{Burst: 10, Every: time.Hour}
	for round := range 20 {
		quotas := []store.Quota{{Name: fmt.Sprint("bucket-", round), Rate: rate}}
		got := verdicts(t, crowd, 40, func(i int) (store.Begun, error) {
			s := bridges[i%2]
			st := start(s, fmt.Sprintf("car-%d-%d", round, i), fmt.Sprint(round, "-", i))
			st.Provider, st.Quotas = fmt.Sprint("op-", i%2), quotas // they do not wait for each other's turn
			return s.Begin(ctx, st)
		})
		if got[store.Started] != 10 || got[store.OverQuota] != 30 {
			t.Fatalf("verdicts %v", got)
		}
	}
}

// Of those who want to ring the same person at two bridges, one does; and however
// many there are, no more ring than may.
func TestRingingAtTwoBridges(t *testing.T) {
	bridges := two(t)
	for round := range 20 {
		var same atomic.Int64
		got := verdicts(t, crowd, 60, func(i int) (store.Begun, error) {
			s, who := bridges[i%2], fmt.Sprint(round, "-", i)
			if i < 20 {
				who = fmt.Sprint(round)
			}
			st := start(s, fmt.Sprintf("car-%d-%d", round, i), who)
			st.Provider, st.Ringing = "op", 9*(round+1)
			b, err := s.Begin(ctx, st)
			if i < 20 && b.Verdict == store.Started {
				same.Add(1)
			}
			return b, err
		})
		if same.Load() > 1 || got[store.Started] != 9 {
			t.Fatalf("%d ring one person, verdicts %v; want one and nine in all", same.Load(), got)
		}
	}
}

// However many sessions are renewed at two bridges at once, no more are than may.
func TestRenewingAtTwoBridges(t *testing.T) {
	bridges := two(t)
	sessions := make([]store.Session, 80)
	for i := range sessions {
		k, _ := grant(t, bridges[0], fmt.Sprintf("car-%d", i), fmt.Sprint("person-", i), "refresh", now)
		sessions[i] = read(t, bridges[0], k)
	}
	got := verdicts(t, crowd, len(sessions), func(i int) (store.Begun, error) {
		st := renewal(sessions[i])
		st.Provider, st.Renewing = "op", 8
		return bridges[i%2].BeginRenewal(ctx, st)
	})
	if got[store.Started] != 8 || got[store.ProviderBusy] != 72 {
		t.Errorf("verdicts %v", got)
	}
}

// A request that two bridges get at once begins at one of them, also where they go by
// different providers.
func TestRequestAtTwoBridges(t *testing.T) {
	bridges := two(t)
	for round := range 20 {
		same := start(bridges[0], fmt.Sprintf("car-%d", round), "")
		got := verdicts(t, crowd, 20, func(i int) (store.Begun, error) {
			st := same
			st.Provider, st.Person = fmt.Sprint("op-", i%2), bridges[0].Subject(fmt.Sprint("op-", i%2), fmt.Sprint("anna", round))
			return bridges[i%2].Begin(ctx, st)
		})
		if got[store.Started] != 1 || got[store.Known] != 19 {
			t.Fatalf("verdicts %v", got)
		}
	}
}

// A bridge that freezes in its turn loses it: the server ends its transaction.
func TestFrozenTurn(t *testing.T) {
	db := postgres(t)
	s := newStore(t, db)
	db.Config = db.Config.Copy()
	db.Config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "200ms" // instead of ten seconds
	frozen := newStore(t, db)
	has, letGo, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	thaw := sync.OnceFunc(func() { close(letGo) })
	t.Cleanup(thaw)
	go func() { ended <- frozen.Freeze(ctx, "op", has, letGo) }()
	<-has
	st := start(s, "car-1", "anna")
	st.Provider = "op"
	begin(t, s, st)
	thaw()
	if err := <-ended; !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the frozen bridge has written: %v", err)
	}
}
