package fleet

import (
	"testing"
	"time"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

// What the provider saw goes to the sign-in that its device had asked for last,
// by the wall clock.
func TestFacts(t *testing.T) {
	began := time.Now()
	asked := []signIn{
		{device: 0, asked: 1 * time.Second}, {device: 2, asked: 2 * time.Second}, {device: 0, asked: 10 * time.Second},
	}
	f := newFacts(began, 3, asked)
	for _, e := range []struct {
		who  int
		at   time.Duration
		kind provider.EventKind
	}{
		{2, 1 * time.Second, provider.Rang}, // before anybody asked
		{1, 1 * time.Second, provider.Rang}, // nobody ever asked
		{0, 1 * time.Second, provider.Rang},
		{0, 2 * time.Second, provider.Approved}, {0, 3 * time.Second, provider.Approved},
		{0, 9 * time.Second, provider.Redeemed},
		{2, 3 * time.Second, provider.Rang}, {2, 4 * time.Second, provider.Rang}, {2, 99 * time.Second, provider.Denied},
		{0, 11 * time.Second, provider.Rang},
	} {
		if err := f.take(provider.Event{Time: began.Round(0).Add(e.at), Kind: e.kind, Subject: personOf(e.who).Subject}); err != nil {
			t.Fatal(err)
		}
	}
	if f.strays != 2 {
		t.Errorf("%d strays, want 2", f.strays)
	}
	for i, want := range []struct {
		pushes, redeemed int
		approved         time.Duration
	}{{1, 1, 2 * time.Second}, {2, 0, 0}, {1, 0, 0}} {
		s := asked[i]
		if s.Pushes != want.pushes || s.Redeemed != want.redeemed || s.Approved != want.approved {
			t.Errorf("sign-in %d: %d pushes, redeemed %d times, approved at %v, want %+v", i, s.Pushes, s.Redeemed, s.Approved, want)
		}
	}
	for _, subject := range []string{"p-3", "p--1", "u-5kq2m7xd", ""} {
		if err := f.take(provider.Event{Subject: subject}); err == nil {
			t.Errorf("%q is somebody", subject)
		}
	}
}
