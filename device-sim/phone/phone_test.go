package phone_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/device-sim/phone"
	"github.com/carillon-iot/carillon/device-sim/provider"
)

// exchange is a provider with nothing behind it: it rings when told and
// remembers what it was told.
type exchange struct {
	rings chan provider.Request
	err   error // of Approve and Deny

	mu    sync.Mutex
	calls []string // guarded by mu
}

func newExchange() *exchange { return &exchange{rings: make(chan provider.Request, 100)} }

func (e *exchange) Watch(ctx context.Context, _ string, ring func(provider.Request)) error {
	for {
		select {
		case r := <-e.rings:
			ring(r)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (e *exchange) note(call string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, call)
	return e.err
}

func (e *exchange) Approve(_ context.Context, id string, a provider.Approval) error {
	call := "approve " + id
	for _, s := range a.Scopes {
		call += " " + s
	}
	return e.note(call)
}

func (e *exchange) Deny(_ context.Context, id string) error { return e.note("deny " + id) }

// told is what the phone has said so far.
func (e *exchange) told() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.calls)
}

func (e *exchange) ring(id string, life time.Duration) {
	e.rings <- provider.Request{ID: id, ExpiresAt: time.Now().Add(life)}
}

// end is how a request ended on the phone.
type end struct {
	id      string
	verdict phone.Verdict
	failed  bool
}

// switchOn runs a phone until the test is over and returns it with a function
// that lists how requests ended.
func switchOn(t *testing.T, e phone.Provider, decide phone.DecideFunc) (*phone.Phone, func() []end) {
	t.Helper()
	var mu sync.Mutex
	var ends []end
	p, err := phone.New(phone.Config{
		Provider: e, Subject: anna, Decide: decide,
		OnDone: func(r provider.Request, d phone.Decision, err error) {
			mu.Lock()
			defer mu.Unlock()
			ends = append(ends, end{r.ID, d.Verdict, err != nil})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, off := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		off()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	return p, func() []end {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(ends)
	}
}

func TestDecisionsReachTheProvider(t *testing.T) {
	some := func(_ context.Context, r provider.Request) phone.Decision {
		switch r.ID {
		case "a":
			return phone.Decision{Verdict: phone.Approved, Approval: provider.Approval{Scopes: []string{"seat"}}}
		case "d":
			return phone.Decision{Verdict: phone.Denied}
		case "?":
			return phone.Decision{Verdict: 7}
		}
		return phone.Decision{}
	}
	synctest.Test(t, func(t *testing.T) {
		e := newExchange()
		p, ends := switchOn(t, e, some)
		for _, id := range []string{"a", "d", "i", "?"} {
			e.ring(id, time.Minute)
			synctest.Wait()
		}
		if want := []string{"approve a seat", "deny d"}; !slices.Equal(e.told(), want) {
			t.Errorf("the provider was told %q, want %q", e.told(), want)
		}
		want := []end{{"a", phone.Approved, false}, {"d", phone.Denied, false}, {"i", phone.Ignored, false}, {"?", 7, true}}
		if !slices.Equal(ends(), want) {
			t.Errorf("ends: %v, want %v", ends(), want)
		}
		if p.Total() != 4 || p.Rings("a") != 1 || p.Rings("x") != 0 {
			t.Errorf("rang %d times, %d for a, %d for x", p.Total(), p.Rings("a"), p.Rings("x"))
		}
	})
}

// A request that comes twice is counted twice and shown once.
func TestShownOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newExchange()
		p, ends := switchOn(t, e, phone.Approve)
		for range 3 {
			e.ring("a", time.Minute)
		}
		synctest.Wait()
		if len(e.told()) != 1 || len(ends()) != 1 {
			t.Errorf("decided %d times: %q", len(ends()), e.told())
		}
		if p.Rings("a") != 3 || p.Total() != 3 {
			t.Errorf("counted %d of 3 rings", p.Rings("a"))
		}
	})
}

// The decision function is told to stop when there is nothing left to decide,
// and what it says afterwards is not sent.
func TestDecisionEndsWithTheRequest(t *testing.T) {
	stubborn := func(ctx context.Context, _ provider.Request) phone.Decision {
		<-ctx.Done()
		return phone.Decision{Verdict: phone.Approved}
	}
	synctest.Test(t, func(t *testing.T) {
		e := newExchange()
		_, ends := switchOn(t, e, stubborn)
		e.ring("a", 30*time.Second)
		time.Sleep(29 * time.Second)
		if len(ends()) != 0 {
			t.Errorf("ended early: %v", ends())
		}
		time.Sleep(2 * time.Second)
		if want := []end{{"a", phone.Ignored, false}}; !slices.Equal(ends(), want) || len(e.told()) != 0 {
			t.Errorf("ends: %v, calls: %q", ends(), e.told())
		}
	})
}

func TestAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newExchange()
		_, ends := switchOn(t, e, phone.After(20*time.Second, phone.Deny))
		e.ring("in time", time.Minute)
		e.ring("too late", 10*time.Second)
		time.Sleep(19 * time.Second)
		if want := []end{{"too late", phone.Ignored, false}}; !slices.Equal(ends(), want) {
			t.Errorf("ends: %v", ends())
		}
		time.Sleep(2 * time.Second)
		if !slices.Equal(e.told(), []string{"deny in time"}) {
			t.Errorf("calls: %q", e.told())
		}
	})
}

func TestRefusedDecisionIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newExchange()
		e.err = provider.ErrDecided
		_, ends := switchOn(t, e, phone.Approve)
		e.ring("a", time.Minute)
		synctest.Wait()
		if want := []end{{"a", phone.Approved, true}}; !slices.Equal(ends(), want) {
			t.Errorf("ends: %v", ends())
		}
	})
}

// Run waits for decisions under way, and a phone runs once.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newExchange()
		finished := false
		p, err := phone.New(phone.Config{Provider: e, Subject: "anna", Decide: func(ctx context.Context, _ provider.Request) phone.Decision {
			<-ctx.Done()
			time.Sleep(time.Second) // it puts the phone away
			finished = true
			return phone.Decision{}
		}})
		if err != nil {
			t.Fatal(err)
		}
		e.ring("a", time.Minute)
		ctx, off := context.WithTimeout(t.Context(), time.Second)
		defer off()
		if err := p.Run(ctx); !errors.Is(err, context.DeadlineExceeded) || !finished {
			t.Errorf("Run: %v, the decision under way finished: %v", err, finished)
		}
		if err := p.Run(t.Context()); err == nil {
			t.Error("a phone ran twice")
		}
	})
}

func TestConfigErrors(t *testing.T) {
	if _, err := phone.New(phone.Config{Subject: "anna"}); err == nil {
		t.Error("a phone without provider")
	}
	if _, err := phone.New(phone.Config{Provider: newExchange()}); err == nil {
		t.Error("a phone of nobody")
	}
}
