package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// session signs anna in on car-1 and returns the session as it is stored.
func session(t *testing.T, s *store.Store) store.Session {
	t.Helper()
	k, _ := grant(t, s, "car-1", "anna", "refresh-1", now)
	return read(t, s, k)
}

func read(t *testing.T, s *store.Store, k store.Key) store.Session {
	t.Helper()
	got, ok, err := s.Session(ctx, k, now)
	if !ok || err != nil {
		t.Fatalf("session: %t, %v", ok, err)
	}
	return got
}

func renewal(of store.Session) store.RenewalStart {
	return store.RenewalStart{
		Key: store.Key{Device: of.Device, ID: schemas.NewID()}, Session: of,
		Now: now, Due: now.Add(time.Minute), Deadline: now.Add(time.Minute),
	}
}

func beginRenewal(t *testing.T, s *store.Store, st store.RenewalStart, want store.Verdict) {
	t.Helper()
	if b, err := s.BeginRenewal(ctx, st); err != nil || b.Verdict != want {
		t.Fatalf("begin: %+v, %v; want verdict %d", b, err, want)
	}
}

// left returns the tokens that are to be revoked.
func left(t *testing.T, s *store.Store, at time.Time) (tokens []string) {
	t.Helper()
	claimed, err := s.ClaimRevocations(ctx, at, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range claimed {
		tokens = append(tokens, r.Token)
	}
	return tokens
}

// Of all who would renew a session at the same time one does, and nobody does so
// with what was read before another has.
func TestOneRenewalAtATime(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		was := session(t, s)
		first, second := renewal(was), renewal(was)
		beginRenewal(t, s, first, store.Started)
		beginRenewal(t, s, first, store.Known)
		beginRenewal(t, s, second, store.SessionBusy)
		if r, ok, err := s.Find(ctx, first.Key); !ok || err != nil || r.State != store.Renewing {
			t.Errorf("request %+v, %t, %v", r, ok, err)
		}
		if _, ok, _ := s.Find(ctx, second.Key); ok {
			t.Error("a renewal that was not begun is stored")
		}
		h := schemas.NewHandle()
		done, err := s.Renewed(ctx, ending(first.Key, "renewed"), store.Renewed{
			Session: was, Renewal: store.Renewal{Refresh: "refresh-2", Kind: schemas.Car}, Handle: h, Expires: now.Add(2 * time.Hour),
		})
		if !done || err != nil {
			t.Fatalf("renewed: %t, %v", done, err)
		}
		is := read(t, s, was.Key)
		if is.Renewal.Refresh != "refresh-2" || !is.Expires.Equal(now.Add(2*time.Hour)) || !is.RenewUntil.Equal(was.RenewUntil) {
			t.Errorf("session %+v, renewed by %+v", is, is.Renewal)
		}
		if p, ok, err := s.ByHandle(ctx, "car-1", h); !ok || err != nil || p.Subject != "anna" {
			t.Errorf("the new handle means %+v, %t, %v", p, ok, err)
		}
		if got := left(t, s, now); len(got) != 0 {
			t.Errorf("to be revoked: %v; what was replaced is the provider's to forget", got)
		}
		beginRenewal(t, s, second, store.SessionBusy) // as it was read before
		beginRenewal(t, s, renewal(is), store.Started)
	})
}

// Whoever renews a session has its grant.
func TestRenewalIsReceipt(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		was := session(t, s)
		beginRenewal(t, s, renewal(was), store.Started)
		if r, _, err := s.Find(ctx, was.Key); err != nil || r.State != store.Done {
			t.Errorf("the sign-in is %q, %v", r.State, err)
		}
	})
}

func TestRenewalQuota(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		was := session(t, s)
		for i, want := range []store.Verdict{store.Started, store.OverQuota} {
			st := renewal(was)
			st.Quotas = []store.Quota{{Name: "renewals car-1", Rate: policy.Rate{Burst: 1, Every: time.Minute}}}
			b, err := s.BeginRenewal(ctx, st)
			if err != nil || b.Verdict != want {
				t.Fatalf("renewal %d: %+v, %v", i, b, err)
			}
			if want == store.Started {
				if ok, err := s.RenewalPutOff(ctx, ending(st.Key, "provider_unavailable")); !ok || err != nil {
					t.Fatal(ok, err)
				}
			} else if b.Wait != time.Minute || b.Quota != "renewals car-1" {
				t.Errorf("%+v", b)
			}
		}
	})
}

// Only so many sessions are renewed at the same time, whoever renews them, and
// what is refused costs nothing.
func TestRenewalLimit(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		var all []store.RenewalStart
		for i := range 4 {
			k, _ := grant(t, s, fmt.Sprintf("car-%d", i), fmt.Sprint("person-", i), fmt.Sprint("refresh-", i), now)
			st := renewal(read(t, s, k))
			st.Renewing = 3
			st.Quotas = []store.Quota{{Name: "renewals " + string(st.Device), Rate: policy.Rate{Burst: 1, Every: time.Hour}}}
			all = append(all, st)
		}
		for _, st := range all[:3] {
			beginRenewal(t, s, st, store.Started)
		}
		if b, err := s.BeginRenewal(ctx, all[3]); b.Verdict != store.ProviderBusy || b.Wait != time.Second || err != nil {
			t.Errorf("one too many: %+v, %v", b, err)
		}
		beginRenewal(t, s, all[0], store.Known) // it is one of them
		if ok, err := s.RenewalPutOff(ctx, ending(all[0].Key, "provider_unavailable")); !ok || err != nil {
			t.Fatal(ok, err)
		}
		beginRenewal(t, s, all[3], store.Started)
	})
}

// How a renewal can end, and what is left of the session.
func TestRenewalEndings(t *testing.T) {
	renewed := func(was store.Session) func(*store.Store, store.Ending) (bool, error) {
		return func(s *store.Store, e store.Ending) (bool, error) {
			return s.Renewed(ctx, e, store.Renewed{Session: was, Renewal: store.Renewal{Refresh: "refresh-2"}, Handle: schemas.NewHandle(), Expires: now.Add(time.Hour)})
		}
	}
	type end = func(store.Session) func(*store.Store, store.Ending) (bool, error)
	plain := func(f func(*store.Store, store.Ending) (bool, error)) end {
		return func(store.Session) func(*store.Store, store.Ending) (bool, error) { return f }
	}
	putOff := plain(func(s *store.Store, e store.Ending) (bool, error) { return s.RenewalPutOff(ctx, e) })
	failed := plain(func(s *store.Store, e store.Ending) (bool, error) { return s.RenewalFailed(ctx, e) })
	for name, c := range map[string]struct {
		end   end
		kept  bool
		token string // that renews it; or that is to be revoked
	}{
		"renewed": {renewed, true, "refresh-2"},
		"put off": {putOff, true, "refresh-1"},
		"failed":  {failed, false, "refresh-1"},
	} {
		each(t, func(t *testing.T, db store.Database) {
			t.Run(name, func(t *testing.T) {
				s := newStore(t, db)
				was := session(t, s)
				st := renewal(was)
				beginRenewal(t, s, st, store.Started)
				if ok, err := c.end(was)(s, ending(st.Key, name)); !ok || err != nil {
					t.Fatalf("ended: %t, %v", ok, err)
				}
				for other, again := range map[string]end{"renewed": renewed, "put off": putOff, "failed": failed} {
					if ok, err := again(was)(s, ending(st.Key, other)); ok || err != nil {
						t.Errorf("%s after that: %t, %v", other, ok, err)
					}
				}
				if r, _, _ := s.Find(ctx, st.Key); r.State != store.Answered || r.Outcome != name {
					t.Errorf("request %+v", r)
				}
				is, ok, err := s.Session(ctx, was.Key, now)
				if ok != c.kept || err != nil {
					t.Fatalf("session is there: %t, %v", ok, err)
				}
				if c.kept {
					if is.Renewal.Refresh != c.token {
						t.Errorf("renewed by %q", is.Renewal.Refresh)
					}
					beginRenewal(t, s, renewal(is), store.Started)
				} else if got := left(t, s, now); len(got) != 1 || got[0] != c.token {
					t.Errorf("to be revoked: %v", got)
				}
			})
		})
	}
}

// A sign-out in the middle of a renewal ends the session; what the provider has
// answered by then changes nothing.
func TestSignOutDuringRenewal(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		was := session(t, s)
		st := renewal(was)
		beginRenewal(t, s, st, store.Started)
		if done, err := s.SignOut(ctx, ending(store.Key{Device: "car-1", ID: schemas.NewID()}, "signed_out"), nil); !done || err != nil {
			t.Fatal(done, err)
		}
		done, err := s.Renewed(ctx, ending(st.Key, "renewed"), store.Renewed{Session: was, Renewal: store.Renewal{Refresh: "refresh-2"}, Handle: schemas.NewHandle(), Expires: now.Add(time.Hour)})
		if done || err != nil {
			t.Errorf("renewed after a sign-out: %t, %v", done, err)
		}
		if ok, err := s.RenewalFailed(ctx, ending(st.Key, "unknown_session")); !ok || err != nil {
			t.Errorf("failed: %t, %v", ok, err)
		}
		if n, err := s.EndSessions(ctx, "car-1", now); n != 0 || err != nil {
			t.Errorf("%d sessions are left, %v", n, err)
		}
	})
}

// What a dead process was renewing is due at once, and what a slow one is when
// its lease is over.
func TestClaimRenewing(t *testing.T) {
	s := newStore(t, sqlite(t)) // on PostgreSQL nothing is taken over
	st := renewal(session(t, s))
	beginRenewal(t, s, st, store.Started)
	claim := func(at time.Time) int {
		t.Helper()
		claimed, err := s.ClaimRenewing(ctx, at, at.Add(time.Minute), 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(claimed)
	}
	if n := claim(now.Add(59 * time.Second)); n != 0 {
		t.Errorf("%d claimed before the lease is over", n)
	}
	if n := claim(now.Add(time.Minute)); n != 1 {
		t.Errorf("%d claimed after", n)
	}
	if err := s.TakeOver(ctx, now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if n := claim(now.Add(time.Second)); n != 1 {
		t.Errorf("%d claimed after a take-over", n)
	}
}

// A revocation is tried until somebody has ended it, ever more seldom, for a
// week.
func TestRevocations(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		k := store.Key{Device: "car-1", ID: schemas.ID{1}}
		if err := s.Revoke(ctx, k, "i", "refresh-1", now); err != nil {
			t.Fatal(err)
		}
		var gaps []time.Duration
		var last store.Revocation
		for at := now; !last.Last; {
			due, err := s.NextRevocation(ctx)
			if err != nil || due.Before(at) {
				t.Fatalf("due %v, %v", due, err)
			}
			gaps, at = append(gaps, due.Sub(at)), due
			if early, err := s.ClaimRevocations(ctx, at.Add(-time.Millisecond), 10); err != nil || len(early) != 0 {
				t.Fatalf("claimed early: %v, %v", early, err)
			}
			claimed, err := s.ClaimRevocations(ctx, at, 10)
			if err != nil || len(claimed) != 1 || claimed[0].Token != "refresh-1" || claimed[0].Session != k || claimed[0].Issuer != "i" {
				t.Fatalf("claimed %+v, %v", claimed, err)
			}
			if last = claimed[0]; at.Sub(now) > 8*24*time.Hour {
				t.Fatal("tried for more than a week")
			}
		}
		for i, want := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60} {
			if gaps[i] != want*time.Minute {
				t.Fatalf("gaps %v", gaps[:9])
			}
		}
		if err := s.Revoked(ctx, last); err != nil {
			t.Fatal(err)
		}
		if due, err := s.NextRevocation(ctx); !due.IsZero() || err != nil {
			t.Errorf("due %v, %v after the end", due, err)
		}
	})
}

// What ends a session by itself leaves its token to be revoked: its time is
// over, or nobody has fetched the grant.
func TestSweepRevokes(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		unfetched, _ := grant(t, s, "car-1", "anna", "refresh-1", now)
		fetched, _ := grant(t, s, "car-2", "bela", "refresh-2", now)
		if _, ok, err := s.Receipt(ctx, fetched, now); !ok || err != nil {
			t.Fatal(ok, err)
		}
		sweep := func(at time.Time) {
			t.Helper()
			if _, err := s.Sweep(ctx, at, 100); err != nil {
				t.Fatal(err)
			}
		}
		sweep(now.Add(10 * time.Minute)) // the end of the answer's delivery
		if _, ok, _ := s.Session(ctx, unfetched, now); ok {
			t.Error("a session is kept that nobody has fetched")
		}
		if got := left(t, s, now.Add(10*time.Minute)); len(got) != 1 || got[0] != "refresh-1" {
			t.Errorf("to be revoked: %v", got)
		}
		sweep(now.Add(time.Hour - time.Millisecond))
		read(t, s, fetched)
		sweep(now.Add(time.Hour))
		if got := left(t, s, now.Add(time.Hour)); len(got) != 2 { // the first once more
			t.Errorf("to be revoked: %v", got)
		}
	})
}

// Refresh tokens are encrypted under the first key.
func TestResealSessions(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		reopen := func(s *store.Store, keys ...byte) *store.Store {
			t.Helper()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, db, keyring(t, keys...))
		}
		s := newStore(t, db)
		k := session(t, s).Key
		s = reopen(s, 2, 1)
		if n, err := s.Reseal(ctx, 10); n != 2 || err != nil { // and the pairing
			t.Errorf("%d encrypted anew, %v", n, err)
		}
		s = reopen(s, 2)
		if got := read(t, s, k); got.Renewal.Refresh != "refresh-1" {
			t.Errorf("renewed by %q", got.Renewal.Refresh)
		}
	})
}

// Bridges that share a database renew a session one after the other, and what a
// sign-out ends stays ended, whoever comes first.
func TestRenewalsAtOnce(t *testing.T) {
	db := postgres(t)
	stores := []*store.Store{newStore(t, db), newStore(t, db), newStore(t, db)}
	for round := range 10 {
		k, _ := grant(t, stores[0], "car-1", fmt.Sprint("anna", round), "refresh-1", now)
		was := read(t, stores[0], k)
		var started, done, gone atomic.Int64
		var all sync.WaitGroup
		for i := range 12 {
			s := stores[i%len(stores)]
			all.Go(func() {
				st := renewal(was)
				b, err := s.BeginRenewal(ctx, st)
				if err != nil {
					t.Error(err)
				}
				if b.Verdict != store.Started {
					return
				}
				started.Add(1)
				ok, err := s.Renewed(ctx, ending(st.Key, "renewed"), store.Renewed{Session: was, Renewal: store.Renewal{Refresh: "refresh-2"}, Handle: schemas.NewHandle(), Expires: now.Add(time.Hour)})
				if err != nil {
					t.Error(err)
				}
				if ok {
					done.Add(1)
				} else if ended, err := s.RenewalFailed(ctx, ending(st.Key, "unknown_session")); !ended || err != nil {
					t.Errorf("failed: %t, %v", ended, err)
				}
			})
		}
		if round%2 == 0 {
			all.Go(func() {
				if _, err := stores[1].SignOut(ctx, ending(store.Key{Device: "car-1", ID: schemas.NewID()}, "signed_out"), nil); err != nil {
					t.Error(err)
				}
				gone.Add(1)
			})
		}
		all.Wait()
		if started.Load() > 1 || done.Load() > started.Load() || gone.Load() == 0 && done.Load() != 1 {
			t.Errorf("round %d: %d begun, %d renewed", round, started.Load(), done.Load())
		}
		if n, err := stores[2].EndSessions(ctx, "car-1", now); err != nil || n != int(1-gone.Load()) {
			t.Errorf("round %d: %d sessions are left, %v", round, n, err)
		}
	}
}
