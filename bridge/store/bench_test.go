package store_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/bridge/store/pgtest"
	"github.com/carillon-iot/carillon/schemas"
)

// onEach runs a benchmark on either engine, as it is used: what is stored is on
// the disk.
func onEach(b *testing.B, bench func(b *testing.B, db store.Database)) {
	b.Run("sqlite", func(b *testing.B) {
		db := sqlite(b)
		db.UnsafeNoSync = false
		bench(b, db)
	})
	b.Run("postgres", func(b *testing.B) {
		db := connect(b, pgtest.New(b, pgtest.Config{Fsync: true}))
		db.UnsafeNoSync = false
		bench(b, db)
	})
}

// Polls without an answer yet: claimed, and their results recorded. The sign-ins
// are always due, so this is as fast as it goes.
func BenchmarkPoll(b *testing.B) {
	const pending, batch = 4096, 256
	onEach(b, func(b *testing.B, db store.Database) {
		s := newStore(b, db)
		crowd(pending, func(i int) { waiting(b, s, fmt.Sprintf("car-%d", i), fmt.Sprint(i)) })
		at := now.Add(10 * time.Second)
		before := cpu()
		for b.Loop() {
			at = at.Add(time.Millisecond)
			claimed, err := s.ClaimPolls(ctx, at, at.Add(time.Minute), batch)
			if err != nil || len(claimed) != batch {
				b.Fatalf("claimed %d, %v", len(claimed), err)
			}
			crowd(batch, func(i int) {
				next := claimed[i].Poll
				next.Due = at
				if ok, err := s.Polled(ctx, claimed[i], next, at); !ok || err != nil {
					b.Errorf("polled: %t, %v", ok, err)
				}
			})
		}
		report(b, before, batch, "poll")
		b.ReportMetric(float64(size(b, db))/pending, "B/pending")
	})
}

// All steps of sign-ins that are granted at their first poll, of many devices at
// the same time.
func BenchmarkSignIn(b *testing.B) {
	const batch = 512
	onEach(b, func(b *testing.B, db store.Database) {
		s := newStore(b, db)
		before := cpu()
		for n := 0; b.Loop(); n += batch {
			crowd(batch, func(i int) { signIn(b, s, n+i) })
		}
		report(b, before, batch, "sign-in")
	})
}

// crowd does something n times, all at the same time.
func crowd(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

// report says how often something was done in a second, which is done so often in
// an operation, and how long each time this process has computed. What a server
// has computed is not in it.
func report(b *testing.B, before time.Duration, times int, unit string) {
	n := float64(b.N * times)
	b.ReportMetric(float64((cpu()-before).Microseconds())/n, "cpu-µs/"+unit)
	b.ReportMetric(n/b.Elapsed().Seconds(), unit+"s/s")
}

// cpu is the time that this process has computed so far.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// size is what the requests take on the disk, indexes included.
func size(t testing.TB, db store.Database) (bytes int64) {
	t.Helper()
	query := "SELECT pg_total_relation_size('requests')"
	if _, ok := db.(store.SQLite); ok {
		query = "SELECT sum(pgsize) FROM dbstat WHERE name LIKE '%requests%'"
	}
	if err := raw(t, db).QueryRow(query).Scan(&bytes); err != nil {
		t.Fatal(err)
	}
	return bytes
}

func signIn(b *testing.B, s *store.Store, i int) {
	device, person := fmt.Sprintf("car-%d", i), fmt.Sprintf("person-%d@example.com", i)
	st := start(s, device, person)
	rate := policy.Rate{Burst: 5, Every: time.Minute}
	st.Quotas = []store.Quota{{Name: "device " + device, Rate: rate}, {Name: "person " + person, Rate: rate}}
	begin(b, s, st)
	poll := ciba.Poll{Interval: 5 * time.Second, Due: now.Add(time.Duration(i) * time.Microsecond), Deadline: st.Deadline}
	if ok, err := s.Rang(ctx, st.Key, st.Details, poll, now); !ok || err != nil {
		b.Error(ok, err)
	}
	e := ending(st.Key, "granted")
	e.Message = make([]byte, 1200)
	g := store.Grant{Person: st.Person, Handle: schemas.NewHandle(), Expires: now.Add(time.Hour),
		Pairing: store.Pairing{Device: st.Device, Issuer: "https://op.test", Subject: person, Hint: st.Details.Hint}}
	if ok, err := s.Grant(ctx, e, g); !ok || err != nil {
		b.Error(ok, err)
	}
	if _, ok, err := s.Receipt(ctx, st.Key, now); !ok || err != nil {
		b.Error(ok, err)
	}
}
