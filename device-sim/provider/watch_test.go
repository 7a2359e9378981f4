package provider_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

// Every watcher sees every request once and in order, those from before it
// came included, unless they were decided meanwhile.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, config(t))
		ctx, cancel := context.WithCancel(t.Context())
		_, before := r.ring()
		_, gone := r.ring()
		if err := r.op.Deny(ctx, gone.ID); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		seen := make([][]string, 2)
		for i := range seen {
			group.Go(func() {
				err := r.op.Watch(ctx, anna, func(req provider.Request) {
					seen[i] = append(seen[i], req.ID)
					time.Sleep(time.Duration(i) * time.Second) // one phone is slow
				})
				if !errors.Is(err, context.Canceled) {
					t.Errorf("Watch: %v", err)
				}
			})
		}
		synctest.Wait()
		want := []string{before.ID}
		for range 10 {
			_, req := r.ring()
			want = append(want, req.ID)
			r.post("/bc-authorize", "scope", "openid", "login_hint", "bela@example.com")
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(20 * time.Second)
		cancel()
		group.Wait()
		for i := range seen {
			if !slices.Equal(seen[i], want) {
				t.Errorf("watcher %d saw %d requests %q, want %q", i, len(seen[i]), seen[i], want)
			}
		}
		if r.op.Rings(anna) != 12 || r.op.Rings("u-8vt4c1np") != 10 || r.op.Rings("nobody") != 0 {
			t.Errorf("rings: Anna %d, Bela %d", r.op.Rings(anna), r.op.Rings("u-8vt4c1np"))
		}
	})
}

func TestWatchNobody(t *testing.T) {
	r := newRig(t, config(t))
	if err := r.op.Watch(t.Context(), "nobody", func(provider.Request) {}); err == nil {
		t.Error("watched nobody")
	}
	if r.op.Pending("nobody") != nil {
		t.Error("nobody has requests")
	}
}

// More sign-ins than any fixed table holds all stay alive, and all are
// forgotten when their time is over.
func TestStoreKeepsAndForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, config(t))
		const n = 500
		tokens := make([]string, n)
		for i := range tokens {
			tokens[i] = r.signIn().str("refresh_token")
			r.ring() // and one that nobody answers
		}
		time.Sleep(10 * time.Minute)
		for i, token := range tokens {
			a := r.refresh(token)
			if a.status != 200 {
				t.Fatalf("refresh of sign-in %d: %d %v", i, a.status, a.json)
			}
		}
		r.ring("scope", "openid", "login_hint", anna) // stores sweep as they are written
		requests, grants, refresh, _ := r.op.Sizes()
		if requests != 2 || grants != 2*n || refresh != 2*n {
			t.Errorf("%d requests, %d grant keys, %d refresh tokens are kept", requests, grants, refresh)
		}
		time.Sleep(31 * 24 * time.Hour)
		r.signIn("scope", "openid", "login_hint", anna)
		requests, grants, refresh, _ = r.op.Sizes()
		if requests != 1 || grants != 2 || refresh != 0 {
			t.Errorf("a month later %d requests, %d grant keys, %d refresh tokens are kept", requests, grants, refresh)
		}
	})
}
