package store_test

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/store"
)

// A statement about many requests finds each by its key, and never looks at all that
// there are, or wait.
func TestPlans(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		want := "SEARCH requests USING INDEX sqlite_autoindex_requests_1 (device=? AND id=?)"
		if _, ok := db.(store.Postgres); ok {
			want = "Index Scan using requests_pkey on requests"
		}
		all := regexp.MustCompile(`Seq Scan|SCAN (requests|r|handles|m|old|sessions|denials|circuits)\b|requests_due`)
		s := newStore(t, db)
		for rows := 1; rows <= 128; rows *= 2 {
			plans, err := s.Plans(ctx, rows)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"polled", "rang", "granted", "refused", "receipt"} {
				if !strings.Contains(plans[name], want) {
					t.Errorf("%s of %d rows: %s", name, rows, plans[name])
				}
			}
			// What rings is counted, and little.
			plans["find"] = strings.Replace(plans["find"], "requests_due", "", 1)
			for name, plan := range plans {
				if found := all.FindString(plan); found != "" {
					t.Errorf("%s of %d rows has %q: %s", name, rows, found, plan)
				}
			}
		}
	})
}

// Of many polls that are recorded at once, those count whose claim holds, and
// the others do not, also where both are about the same sign-in.
func TestPolledAtOnce(t *testing.T) {
	each(t, func(t *testing.T, db store.Database) {
		s := newStore(t, db)
		const n = 300 // more than one statement changes
		for i := range n {
			waiting(t, s, fmt.Sprintf("car-%d", i), fmt.Sprint(i))
		}
		claim := func(at time.Time) []store.Request {
			t.Helper()
			rows, err := s.ClaimPolls(ctx, at, at.Add(30*time.Second), n)
			if err != nil || len(rows) != n {
				t.Fatalf("claimed %d, %v", len(rows), err)
			}
			return rows
		}
		stale, held := claim(now.Add(10*time.Second)), claim(now.Add(40*time.Second))
		var all sync.WaitGroup
		record := func(r store.Request, due time.Duration, want bool) {
			next := r.Poll
			next.Due, next.Failures = now.Add(due), int(due.Seconds())
			if ok, err := s.Polled(ctx, r, next, now); ok != want || err != nil {
				t.Errorf("recorded: %t, %v; want %t", ok, err, want)
			}
		}
		for i := range n {
			all.Go(func() { record(stale[i], time.Second, false) })
			all.Go(func() { record(held[i], time.Duration(50+i)*time.Second, true) })
		}
		all.Wait()
		for i, r := range held {
			got, _, err := s.Find(ctx, r.Key)
			if want := now.Add(time.Duration(50+i) * time.Second); err != nil || !got.Poll.Due.Equal(want) || got.Poll.Failures != 50+i {
				t.Fatalf("poll %+v, %v; want it due at %v", got.Poll, err, want)
			}
		}
	})
}
