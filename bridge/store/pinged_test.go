package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/store"
)

// pinging is a sign-in whose provider pings: due for a poll after 45 seconds if
// none comes.
func pinging(deadline time.Time) ciba.Poll {
	return ciba.Poll{Interval: 5 * time.Second, Fallback: 45 * time.Second, Due: now.Add(45 * time.Second), Deadline: deadline}
}

// awaiting begins a sign-in that waits for a ping.
func awaiting(t testing.TB, s *store.Store, device, person string) store.Start {
	t.Helper()
	st := start(s, device, person)
	begin(t, s, st)
	if ok, err := s.Rang(ctx, st.Key, st.Details, pinging(st.Deadline), now); !ok || err != nil {
		t.Fatalf("rang: %t, %v", ok, err)
	}
	return st
}

// ping records a ping, and wants it to be the first one or not.
func ping(t testing.TB, s *store.Store, k store.Key, at time.Time, first bool) {
	t.Helper()
	if got, err := s.Pinged(ctx, k, at); got != first || err != nil {
		t.Fatalf("ping: first %t, %v; want %t", got, err, first)
	}
}

// claimOne claims the only poll that is due at an instant.
func claimOne(t testing.TB, s *store.Store, at time.Time) store.Request {
	t.Helper()
	rows, err := s.ClaimPolls(ctx, at, at.Add(35*time.Second), 10)
	if err != nil || len(rows) != 1 {
		t.Fatalf("claimed %d, %v; want 1", len(rows), err)
	}
	return rows[0]
}

// wantDue checks when the next poll is due.
func wantDue(t testing.TB, s *store.Store, want time.Time) {
	t.Helper()
	if due, err := s.NextDue(ctx, store.Waiting); err != nil || !due.Equal(want) {
		t.Fatalf("next due %v, %v; want %v", due.Sub(now), err, want.Sub(now))
	}
}

// What a sign-in knows of pings is there after a restart.
func TestPingComesBack(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := open(t, db, keyring(t, 1))
		st := awaiting(t, s, "car-1", "anna")
		ping(t, s, st.Key, now.Add(7*time.Second), true)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, db, keyring(t, 1))
		r, ok, err := s.Find(ctx, st.Key)
		want := pinging(st.Deadline).AfterPing(now.Add(7 * time.Second))
		if got := r.Poll; !ok || err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("poll %+v, %v; want %+v", got, err, want)
		}
	})
}

// The first ping makes the poll due at once, and no other makes one due.
func TestPinged(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		st := awaiting(t, s, "car-1", "anna")
		wantDue(t, s, now.Add(45*time.Second))
		ping(t, s, st.Key, now.Add(7*time.Second), true)
		wantDue(t, s, now.Add(7*time.Second))
		r := claimOne(t, s, now.Add(7*time.Second))
		if !r.Poll.Pinged || r.Poll.Fallback != 45*time.Second {
			t.Errorf("poll %+v", r.Poll)
		}
		next := r.Poll
		next.Due = now.Add(12 * time.Second)
		if ok, err := s.Polled(ctx, r, next, now.Add(8*time.Second)); !ok || err != nil {
			t.Fatal(ok, err)
		}
		ping(t, s, st.Key, now.Add(9*time.Second), false)
		wantDue(t, s, now.Add(12*time.Second))
	})
}

// A ping never puts a poll off that is due already.
func TestPingedWhenDue(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		st := awaiting(t, s, "car-1", "anna")
		ping(t, s, st.Key, now.Add(50*time.Second), true)
		wantDue(t, s, now.Add(45*time.Second))
	})
}

// A ping during a poll leaves the claim as it is, and makes the next poll due at
// once if this one brings nothing.
func TestPingedDuringPoll(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		st := awaiting(t, s, "car-1", "anna")
		r := claimOne(t, s, now.Add(45*time.Second))
		ping(t, s, st.Key, now.Add(46*time.Second), true)
		wantDue(t, s, now.Add(80*time.Second)) // the end of the claim
		next := r.Poll
		next.Due = now.Add(90 * time.Second)
		if ok, err := s.Polled(ctx, r, next, now.Add(47*time.Second)); !ok || err != nil {
			t.Fatalf("the claim did not hold: %t, %v", ok, err)
		}
		wantDue(t, s, now.Add(47*time.Second))
		if r = claimOne(t, s, now.Add(47*time.Second)); !r.Poll.Pinged || r.Poll.Lost {
			t.Errorf("poll %+v", r.Poll)
		}
	})
}

// A ping during a poll that was never heard of again is not lost with it.
func TestPingedDuringLostPoll(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		st := awaiting(t, s, "car-1", "anna")
		claimOne(t, s, now.Add(45*time.Second))
		ping(t, s, st.Key, now.Add(46*time.Second), true)
		if err := s.TakeOver(ctx, now.Add(50*time.Second)); err != nil {
			t.Fatal(err)
		}
		if r := claimOne(t, s, now.Add(80*time.Second)); !r.Poll.Pinged || !r.Poll.Lost {
			t.Errorf("poll %+v", r.Poll)
		}
	})
}

// A ping that is faster than the record of the acknowledgement is remembered.
func TestPingedWhileRinging(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		st := start(s, "car-1", "anna")
		begin(t, s, st)
		ping(t, s, st.Key, now.Add(time.Second), true)
		if due, err := s.NextDue(ctx, store.Ringing); err != nil || !due.Equal(st.Due) {
			t.Errorf("ringing until %v, %v; want %v", due, err, st.Due)
		}
		at := now.Add(2 * time.Second)
		if ok, err := s.Rang(ctx, st.Key, st.Details, pinging(st.Deadline), at); !ok || err != nil {
			t.Fatal(ok, err)
		}
		wantDue(t, s, at)
	})
}

// A sign-in that polls does not hear pings.
func TestPingedWithoutFallback(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		st := waiting(t, s, "car-1", "anna")
		ping(t, s, st.Key, now, true)
		wantDue(t, s, now.Add(5*time.Second))
	})
}

// What has ended, or is not known, is not touched.
func TestPingedTooLate(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		st := awaiting(t, s, "car-1", "anna")
		e := ending(st.Key, "cancelled")
		if ok, err := s.Withdraw(ctx, e); !ok || err != nil {
			t.Fatal(ok, err)
		}
		before, _, _ := s.Find(ctx, st.Key)
		ping(t, s, st.Key, now, false)
		if after, _, err := s.Find(ctx, st.Key); err != nil || fmt.Sprintf("%+v", after) != fmt.Sprintf("%+v", before) {
			t.Errorf("%+v, %v; was %+v", after, err, before)
		}
		ping(t, s, start(s, "car-2", "bela").Key, now, false)
	})
}
