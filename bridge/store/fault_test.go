package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/bridge/store/pgtest"
	"github.com/carillon-iot/carillon/schemas"
)

// wired returns a new database behind a wire.
func wired(t testing.TB) (store.Postgres, *pgtest.Wire) {
	t.Helper()
	db, w := postgres(t), new(pgtest.Wire)
	db.Config.ConnConfig.DialFunc = w.Dial
	return db, w
}

// While the server cannot be reached everything says so, and afterwards the same
// store goes on.
func TestUnavailable(t *testing.T) {
	db, wire := wired(t)
	s := newStore(t, db)
	before := waiting(t, s, "car-1", "anna")
	wire.Cut()
	if _, err := s.Begin(ctx, start(s, "car-2", "bela")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("begin: %v", err)
	}
	if _, err := s.ClaimPolls(ctx, now, now, 1); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("claim: %v", err)
	}
	if _, _, err := s.Find(ctx, before.Key); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("find: %v", err)
	}
	if err := s.Ping(ctx); err == nil {
		t.Error("the database answers")
	}
	wire.Mend()
	if r, ok, err := s.Find(ctx, before.Key); !ok || err != nil || r.State != store.Waiting {
		t.Errorf("found %+v, %t, %v", r, ok, err)
	}
	begin(t, s, start(s, "car-2", "bela"))
}

// Where the answer to a commit is lost, what was to be stored is stored, and to
// try again changes nothing more.
func TestLostCommit(t *testing.T) {
	db, wire := wired(t)
	s := newStore(t, db)
	lost := func(what string, write func() (bool, error)) {
		t.Helper()
		wire.Lose(1)
		if _, err := write(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
		wire.Lose(0)
		if again, err := write(); again || err != nil {
			t.Errorf("%s again: %t, %v", what, again, err)
		}
	}
	state := func(k store.Key) string {
		t.Helper()
		r, _, err := s.Find(ctx, k)
		if err != nil {
			t.Fatal(err)
		}
		return string(r.State) + " " + r.Outcome
	}
	rate := policy.Rate{Burst: 3, Every: time.Hour}
	quotas := []store.Quota{{Name: "q", Rate: rate}}

	st := start(s, "car-1", "anna")
	st.Quotas = quotas
	lost("begin", func() (bool, error) {
		b, err := s.Begin(ctx, st)
		if err == nil && b.Verdict != store.Known {
			t.Errorf("begun again: %+v", b)
		}
		return b.Verdict == store.Started, err
	})
	if got := state(st.Key); got != "ringing " { // and it ends as interrupted
		t.Errorf("begun: %s", got)
	}
	lost("refuse", func() (bool, error) { return s.Refuse(ctx, ending(st.Key, "refused"), quotas...) })
	if got := state(st.Key); got != "answered refused" {
		t.Errorf("refused: %s", got)
	}
	withdrawn := waiting(t, s, "car-2", "bela")
	lost("withdraw", func() (bool, error) { return s.Withdraw(ctx, ending(withdrawn.Key, "cancelled")) })
	denied := waiting(t, s, "car-3", "chidi")
	lost("deny", func() (bool, error) {
		return s.Deny(ctx, ending(denied.Key, "denied"), denied.Person, policy.CoolDown{First: time.Minute, Max: time.Hour})
	})
	if n, err := s.Denials(ctx, "car-3", denied.Person); n != 1 || err != nil {
		t.Errorf("%d denials, %v; want 1", n, err)
	}
	granted := waiting(t, s, "car-4", "dora")
	lost("grant", func() (bool, error) {
		return s.Grant(ctx, ending(granted.Key, "granted"), store.Grant{
			Pairing: store.Pairing{Device: "car-4", Issuer: "i", Subject: "dora"}, Handle: schemas.Handle{1}, Expires: now.Add(time.Hour)})
	})
	if got := state(granted.Key); got != "answered granted" { // and it is published when it is due
		t.Errorf("granted: %s", got)
	}
	if _, ok, err := s.ByHandle(ctx, "car-4", schemas.Handle{1}); !ok || err != nil {
		t.Errorf("the handle: %t, %v", ok, err)
	}

	// The quota got back what one refusal gives back, and no more.
	for i := range rate.Burst + 1 {
		st := start(s, "car-5", fmt.Sprint(i))
		st.Quotas = quotas
		b, err := s.Begin(ctx, st)
		if err != nil || (b.Verdict == store.Started) != (i < rate.Burst) {
			t.Errorf("sign-in %d: %+v, %v", i, b, err)
		}
	}
}

// A server that makes a rollback of a commit has not committed.
func TestRolledBack(t *testing.T) {
	if err := newStore(t, postgres(t)).Swallow(ctx); err == nil || !strings.Contains(err.Error(), "rolled back") {
		t.Errorf("committed: %v", err)
	}
}

// Rows whose claim was made, but not heard of, are due again when it runs out.
func TestLostClaim(t *testing.T) {
	db, wire := wired(t)
	s := newStore(t, db)
	waiting(t, s, "car-1", "anna")
	at := now.Add(10 * time.Second)
	wire.Lose(1)
	if _, err := s.ClaimPolls(ctx, at, at.Add(time.Minute), 10); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("claim: %v", err)
	}
	wire.Lose(0)
	wantDue(t, s, at.Add(time.Minute))
	if r := claimOne(t, s, at.Add(time.Minute)); !r.Poll.Lost {
		t.Error("nobody says that an answer may have been lost")
	}
}

// Bridges whose transactions wait for each other both go on, and nothing is done
// twice or not at all.
func TestDeadlock(t *testing.T) {
	db := postgres(t)
	db.Config.ConnConfig.RuntimeParams["deadlock_timeout"] = "10ms"
	a, b := newStore(t, db), newStore(t, db)
	const n = 60
	rate := policy.Rate{Burst: 1000, Every: time.Hour}
	x, y := store.Quota{Name: "x", Rate: rate}, store.Quota{Name: "y", Rate: rate}
	var sides [2][]store.Key
	for i := range n {
		for side := range sides {
			st := start(a, fmt.Sprintf("car-%d-%d", side, i), fmt.Sprint(side, i))
			st.Quotas = []store.Quota{x, y}
			begin(t, a, st)
			sides[side] = append(sides[side], st.Key)
		}
	}
	var all sync.WaitGroup
	refuse := func(s *store.Store, k store.Key, back ...store.Quota) {
		if ok, err := s.Refuse(ctx, ending(k, "refused"), back...); !ok || err != nil {
			t.Errorf("refuse: %t, %v", ok, err)
		}
	}
	for i := range n {
		all.Go(func() { refuse(a, sides[0][i], x, y) })
		all.Go(func() { refuse(b, sides[1][i], y, x) })
	}
	all.Wait()
	rows, err := raw(t, db).Query("SELECT full_at FROM quotas")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var full int64
		if err := rows.Scan(&full); err != nil || full != now.UnixMilli() {
			t.Errorf("a bucket is full %v after it was filled, %v", time.Duration(full-now.UnixMilli())*time.Millisecond, err)
		}
	}
}

// A server that says something is stored before it is on its disk is refused.
func TestServerWithoutDisk(t *testing.T) {
	db := postgres(t)
	db.UnsafeNoSync = false
	if _, err := store.Open(ctx, store.Config{Database: db, Keys: keyring(t, 1)}); err == nil || !strings.Contains(err.Error(), "fsync is off") {
		t.Errorf("opened: %v", err)
	}
}
