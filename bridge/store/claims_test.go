package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// However many claim at once, every due poll is claimed once.
func TestClaimPollsOnce(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		const n = 300
		for i := range n {
			waiting(t, s, fmt.Sprintf("car-%d", i), fmt.Sprint(i))
		}
		at := now.Add(6 * time.Second)
		var mu sync.Mutex
		claimed := make(map[store.Key]int)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for {
					rows, err := s.ClaimPolls(ctx, at, at.Add(35*time.Second), 7)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					for _, r := range rows {
						claimed[r.Key]++
					}
					mu.Unlock()
					if len(rows) == 0 {
						return
					}
				}
			})
		}
		wg.Wait()
		if len(claimed) != n {
			t.Errorf("%d claimed, want %d", len(claimed), n)
		}
		for k, times := range claimed {
			if times != 1 {
				t.Errorf("%v was claimed %d times", k, times)
			}
		}
		if due, err := s.NextDue(ctx, store.Waiting); err != nil || !due.Equal(at.Add(35*time.Second)) {
			t.Errorf("next due %v, %v", due, err)
		}
	})
}

// A claim that runs out leaves a mark, and its late answer changes nothing.
func TestLease(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		st := waiting(t, s, "car-1", "anna")
		claim := func(at time.Time) store.Request {
			t.Helper()
			rows, err := s.ClaimPolls(ctx, at, at.Add(35*time.Second), 1)
			if err != nil || len(rows) != 1 {
				t.Fatalf("claimed %d, %v", len(rows), err)
			}
			return rows[0]
		}
		first := claim(now.Add(5 * time.Second))
		if first.Poll.Lost {
			t.Error("lost before the first poll")
		}
		second := claim(now.Add(40 * time.Second))
		if !second.Poll.Lost {
			t.Error("the answer of the first poll was lost, and nobody says so")
		}
		next := ciba.Poll{Interval: 10 * time.Second, Due: now.Add(50 * time.Second), Deadline: st.Deadline, Failures: 2}
		if ok, err := s.Polled(ctx, first, next, now); ok || err != nil {
			t.Errorf("the first claim still held: %t, %v", ok, err)
		}
		if ok, err := s.Polled(ctx, second, next, now); !ok || err != nil {
			t.Errorf("the second claim did not hold: %t, %v", ok, err)
		}
		third := claim(now.Add(50 * time.Second))
		if third.Poll.Lost || third.Poll.Failures != 2 || third.Poll.Interval != 10*time.Second {
			t.Errorf("poll %+v", third.Poll)
		}
	})
}

func TestTakeOver(t *testing.T) {
	s := newStore(t, sqlite(t))
	ringing := start(s, "car-1", "anna")
	begin(t, s, ringing)
	polled := waiting(t, s, "car-2", "bela")
	idle := waiting(t, s, "car-3", "chidi")
	if _, err := s.ClaimPolls(ctx, now.Add(5*time.Second), now.Add(40*time.Second), 1); err != nil {
		t.Fatal(err)
	}
	at := now.Add(7 * time.Second)
	if err := s.TakeOver(ctx, at); err != nil {
		t.Fatal(err)
	}
	rows, err := s.ClaimRinging(ctx, at, at.Add(time.Minute), 10)
	if err != nil || len(rows) != 1 || rows[0].Key != ringing.Key {
		t.Fatalf("ringing %v, %v", rows, err)
	}
	lost := 0
	rows, err = s.ClaimPolls(ctx, at.Add(5*time.Second), at.Add(time.Minute), 10)
	if err != nil || len(rows) != 2 {
		t.Fatalf("waiting %d, %v", len(rows), err)
	}
	for _, r := range rows {
		if r.Poll.Lost {
			lost++
		}
		if r.Key != polled.Key && r.Key != idle.Key {
			t.Errorf("claimed %v", r.Key)
		}
	}
	if lost != 1 {
		t.Errorf("%d of two have lost an answer, want the one that was being polled", lost)
	}
}

// Where other bridges may be alive, a bridge that begins leaves their work to
// them.
func TestNoTakeOver(t *testing.T) {
	db := postgres(t)
	s := newStore(t, db)
	ringing := start(s, "car-1", "anna")
	begin(t, s, ringing)
	waiting(t, s, "car-2", "bela")
	polled := claimOne(t, s, now.Add(5*time.Second))
	other := newStore(t, db)
	if err := other.TakeOver(ctx, now.Add(7*time.Second)); err != nil {
		t.Fatal(err)
	}
	wantDue(t, other, now.Add(40*time.Second))
	if due, err := other.NextDue(ctx, store.Ringing); err != nil || !due.Equal(ringing.Due) {
		t.Errorf("ringing until %v, %v", due, err)
	}
	next := polled.Poll
	next.Due = now.Add(10 * time.Second)
	if ok, err := s.Polled(ctx, polled, next, now.Add(8*time.Second)); !ok || err != nil {
		t.Errorf("the claim of a bridge that lives does not hold: %t, %v", ok, err)
	}
}

// Whoever ends a request first, ends it; nothing else is stored.
func TestFirstEndingWins(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		for name, second := range map[string]func(*store.Store, store.Ending) (bool, error){
			"grant": func(s *store.Store, e store.Ending) (bool, error) {
				return s.Grant(ctx, e, store.Grant{Pairing: store.Pairing{Device: e.Device, Issuer: "i", Subject: "s"}, Handle: schemas.NewHandle(), Expires: now.Add(time.Hour)})
			},
			"refuse":    func(s *store.Store, e store.Ending) (bool, error) { return s.Refuse(ctx, e) },
			"withdraw":  func(s *store.Store, e store.Ending) (bool, error) { return s.Withdraw(ctx, e) },
			"interrupt": func(s *store.Store, e store.Ending) (bool, error) { return s.Interrupt(ctx, e) },
			"reject":    func(s *store.Store, e store.Ending) (bool, error) { return s.Reject(ctx, e) },
			"deny": func(s *store.Store, e store.Ending) (bool, error) {
				return s.Deny(ctx, e, store.Person{1}, policy.CoolDown{First: time.Minute, Max: time.Hour})
			},
		} {
			st := waiting(t, s, "car-"+name, name)
			if ok, err := s.Withdraw(ctx, ending(st.Key, "cancelled")); !ok || err != nil {
				t.Fatalf("%s: withdraw: %t, %v", name, ok, err)
			}
			if ok, err := second(s, ending(st.Key, name)); ok || err != nil {
				t.Errorf("%s came second: %t, %v", name, ok, err)
			}
			r, _, err := s.Find(ctx, st.Key)
			if err != nil || r.Outcome != "cancelled" || string(r.Answer) != "signed cancelled" {
				t.Errorf("%s: row %+v, %v", name, r, err)
			}
			if n, _ := s.Denials(ctx, st.Device, store.Person{1}); n != 0 {
				t.Errorf("%s: %d denials", name, n)
			}
			if all, _ := s.Sessions(ctx, st.Device, "i", "s", now); len(all) != 0 {
				t.Errorf("%s: %d sessions", name, len(all))
			}
		}
	})
}

// An answer is due after 2 s, then about twice as long each time, up to a
// minute, and never after its end.
func TestClaimAnswers(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		st := waiting(t, s, "car-1", "anna")
		e := ending(st.Key, "expired")
		e.Until = now.Add(20 * time.Minute)
		if ok, err := s.Refuse(ctx, e); !ok || err != nil {
			t.Fatal(ok, err)
		}
		var gaps []time.Duration
		last := now
		for at := now; at.Before(now.Add(time.Hour)); at = at.Add(time.Second) {
			rows, err := s.ClaimAnswers(ctx, at, 10)
			if err != nil {
				t.Fatal(err)
			}
			if len(rows) == 1 {
				gaps = append(gaps, at.Sub(last))
				last = at
			}
		}
		want := []time.Duration{2, 4, 8, 16, 32, 60, 60, 60}
		for i, d := range want {
			if d *= time.Second; i >= len(gaps) || gaps[i] < d || gaps[i] > d*12/10+time.Second {
				t.Fatalf("published after %v", gaps)
			}
		}
		if last.After(e.Until) {
			t.Errorf("published %v after the answer", last.Sub(now))
		}
	})
}

// Everything that is over goes, and nothing that is not.
func TestSweep(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		answered := waiting(t, s, "car-1", "anna")
		if _, err := s.Refuse(ctx, ending(answered.Key, "expired")); err != nil {
			t.Fatal(err)
		}
		receipted := waiting(t, s, "car-2", "bela")
		if _, err := s.Refuse(ctx, ending(receipted.Key, "expired")); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := s.Receipt(ctx, receipted.Key, now); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if _, ok, err := s.Receipt(ctx, receipted.Key, now); ok || err != nil {
			t.Fatalf("a second receipt: %t, %v", ok, err)
		}
		open := waiting(t, s, "car-3", "chidi")
		state := func(k store.Key) string {
			r, ok, err := s.Find(ctx, k)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return ""
			}
			return string(r.State) + " " + r.Outcome
		}
		for _, c := range []struct {
			after                     time.Duration
			answered, receipted, open string
		}{
			{0, "answered expired", "done expired", "waiting "},
			{store.Tombstone - time.Second, "answered expired", "done expired", "waiting "},
			{store.Tombstone, "answered expired", "", "waiting "},
			{10 * time.Minute, "done lapsed", "", "waiting "},
			{10*time.Minute + store.Tombstone, "", "", "waiting "},
		} {
			if _, err := s.Sweep(ctx, now.Add(c.after), 100); err != nil {
				t.Fatal(err)
			}
			if a, r, o := state(answered.Key), state(receipted.Key), state(open.Key); a != c.answered || r != c.receipted || o != c.open {
				t.Errorf("after %v: %q, %q, %q; want %q, %q, %q", c.after, a, r, o, c.answered, c.receipted, c.open)
			}
		}
	})
}
