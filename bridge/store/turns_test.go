package store_test

import (
	"fmt"
	"testing"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// While what begins waits for its turn at a provider, everything else goes on.
func TestTurnHoldsUpNothingElse(t *testing.T) {
	db := postgres(t)
	s := newStore(t, db)
	other, err := raw(t, db).Begin() // a bridge whose turn it is
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
		if err := raw(t, db).QueryRow("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").Scan(&n); err != nil {
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
