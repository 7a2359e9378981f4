package provider_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

// slow returns a provider whose store takes 3 ms for a read and for a write of
// a grant, inside a bubble.
func slow(t testing.TB) *rig {
	t.Helper()
	op, err := provider.NewWithLatency(config(t), func() { time.Sleep(3 * time.Millisecond) })
	if err != nil {
		t.Fatal(err)
	}
	return rigOf(t, op)
}

// Of 64 token requests at once exactly one gets the tokens, however slow the
// store is, and the grant is revoked because the others tried.
func TestOneRedemptionOfMany(t *testing.T) {
	for round := range 20 {
		synctest.Test(t, func(t *testing.T) {
			r := slow(t)
			id, req := r.ring()
			if err := r.op.Approve(t.Context(), req.ID, provider.Approval{}); err != nil {
				t.Fatal(err)
			}
			answers := make([]answer, 64)
			var group sync.WaitGroup
			for i := range answers {
				group.Go(func() { answers[i] = r.poll(id) })
			}
			group.Wait()
			var won answer
			winners := 0
			for _, a := range answers {
				if a.status == 200 {
					winners, won = winners+1, a
					continue
				}
				a.want(t, 400, "invalid_grant")
			}
			if winners != 1 {
				t.Fatalf("round %d: %d of %d requests got tokens", round, winners, len(answers))
			}
			r.refresh(won.str("refresh_token")).want(t, 400, "invalid_grant")
			r.poll(id).want(t, 400, "invalid_grant")
		})
	}
}

// Of 64 refreshes with one token exactly one succeeds, and what it got is dead,
// because the others tried.
func TestOneRotationOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := slow(t)
		token := r.signIn().str("refresh_token")
		won := make(chan string, 64)
		var group sync.WaitGroup
		for range cap(won) {
			group.Go(func() {
				if a := r.refresh(token); a.status == 200 {
					won <- a.str("refresh_token")
				}
			})
		}
		group.Wait()
		if len(won) != 1 {
			t.Fatalf("%d refreshes with one token", len(won))
		}
		r.refresh(<-won).want(t, 400, "invalid_grant")
	})
}

// A revocation that crosses a refresh is not lost.
func TestRevocationWinsOverRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := slow(t)
		token := r.signIn().str("refresh_token")
		var group sync.WaitGroup
		var refreshed answer
		group.Go(func() { refreshed = r.refresh(token) })
		group.Go(func() {
			if a := r.post("/revoke", "token", token); a.status != 200 {
				t.Errorf("revoke: %d %v", a.status, a.json)
			}
		})
		group.Wait()
		if refreshed.status == 200 {
			r.refresh(refreshed.str("refresh_token")).want(t, 400, "invalid_grant")
		}
	})
}

func TestSecondRedemptionRevokes(t *testing.T) {
	var events []provider.Event
	cfg := config(t)
	cfg.Observe = func(e provider.Event) { events = append(events, e) }
	r := newRig(t, cfg)
	id, req := r.ring()
	if err := r.op.Approve(t.Context(), req.ID, provider.Approval{}); err != nil {
		t.Fatal(err)
	}
	tokens := r.poll(id)
	r.poll(id).want(t, 400, "invalid_grant")
	r.poll(id).want(t, 400, "invalid_grant")
	r.refresh(tokens.str("refresh_token")).want(t, 400, "invalid_grant")
	var kinds []provider.EventKind
	for _, e := range events {
		kinds = append(kinds, e.Kind)
		if e.RequestID != req.ID || e.Subject != anna || e.ClientID != "bridge-1" || e.Time.IsZero() {
			t.Errorf("event %+v does not name the request", e)
		}
	}
	if got := fmt.Sprint(kinds); got != "[rang approved redeemed replayed replayed]" {
		t.Errorf("events: %s", got)
	}
}

// Whoever watches hears of renewals, of what a client gives back, and of spent
// refresh tokens; and a spent one can be had for a test.
func TestRefreshEvents(t *testing.T) {
	var kinds []provider.EventKind
	cfg := config(t)
	cfg.Observe = func(e provider.Event) { kinds = append(kinds, e.Kind) }
	r := newRig(t, cfg)
	first := r.signIn().str("refresh_token")
	if token, ok := r.op.Rotated(anna); ok {
		t.Errorf("%q was replaced before anything was", token)
	}
	second := r.refresh(first).str("refresh_token")
	if token, ok := r.op.Rotated(anna); !ok || token != first {
		t.Errorf("replaced is %q, %t", token, ok)
	}
	if a := r.post("/revoke", "token", second); a.status != 200 {
		t.Errorf("revoke: %d %v", a.status, a.json)
	}
	stolen := r.signIn().str("refresh_token")
	r.refresh(stolen)
	r.refresh(stolen).want(t, 400, "invalid_grant")
	if got := fmt.Sprint(kinds); got != "[rang approved redeemed renewed revoked rang approved redeemed renewed replayed]" {
		t.Errorf("events: %s", got)
	}
}

// Another client's token request, or one that asks for more, neither gets
// anything nor spoils the grant.
func TestStrangersLeaveTheGrantAlone(t *testing.T) {
	cfg := config(t)
	cfg.Clients = append(cfg.Clients, provider.Client{ID: "other", Secret: secret})
	r := newRig(t, cfg)
	id, req := r.ring()
	stranger := r.as("other", secret)
	stranger.poll(id).want(t, 400, "invalid_grant")
	r.poll(id).want(t, 400, "authorization_pending") // the stranger's poll is not held against the client
	if err := r.op.Approve(t.Context(), req.ID, provider.Approval{}); err != nil {
		t.Fatal(err)
	}
	stranger.poll(id).want(t, 400, "invalid_grant")
	r.as("bridge-1", "wrong").poll(id).want(t, 401, "invalid_client")
	for _, name := range []string{"scope", "resource", "authorization_details"} {
		r.post("/token", "grant_type", "urn:openid:params:grant-type:ciba", "auth_req_id", id, name, "x").want(t, 400, "invalid_request")
	}
	if a := r.poll(id); a.status != 200 {
		t.Errorf("the client's own request: %d %v", a.status, a.json)
	}
}

func TestOneDecision(t *testing.T) {
	r := newRig(t, config(t))
	approve := func(id string) error { return r.op.Approve(t.Context(), id, provider.Approval{}) }
	deny := func(id string) error { return r.op.Deny(t.Context(), id) }
	for _, c := range []struct {
		name          string
		first, second func(string) error
		code          string // of the token request; empty for tokens
	}{
		{"deny then approve", deny, approve, "access_denied"},
		{"deny then deny", deny, deny, "access_denied"},
		{"approve then approve", approve, approve, ""},
		{"approve then deny", approve, deny, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, req := r.ring()
			if err := c.first(req.ID); err != nil {
				t.Fatal(err)
			}
			select {
			case <-req.Decided():
			default:
				t.Error("Decided is still open")
			}
			if err := c.second(req.ID); !errors.Is(err, provider.ErrDecided) {
				t.Errorf("second decision: %v", err)
			}
			if a := r.poll(id); c.code != "" {
				a.want(t, 400, c.code)
			} else if a.status != 200 {
				t.Errorf("token request: %d %v", a.status, a.json)
			}
			if err := c.second(req.ID); !errors.Is(err, provider.ErrDecided) {
				t.Errorf("decision after the token request: %v", err)
			}
		})
	}
}

// Many fingers on many phones: one decision takes effect, and the token
// request agrees with it.
func TestConcurrentDecisions(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			r := slow(t)
			id, req := r.ring()
			var approved, denied atomic.Int32
			var group sync.WaitGroup
			for i := range 32 {
				group.Go(func() {
					var err error
					if i%2 == 0 {
						if err = r.op.Approve(t.Context(), req.ID, provider.Approval{}); err == nil {
							approved.Add(1)
						}
					} else if err = r.op.Deny(t.Context(), req.ID); err == nil {
						denied.Add(1)
					}
					if err != nil && !errors.Is(err, provider.ErrDecided) {
						t.Errorf("decision: %v", err)
					}
				})
			}
			group.Wait()
			if approved.Load()+denied.Load() != 1 {
				t.Fatalf("%d approvals and %d denials took effect", approved.Load(), denied.Load())
			}
			if a := r.poll(id); (a.status == 200) != (approved.Load() == 1) {
				t.Errorf("token request: %d %v after %d approvals", a.status, a.json, approved.Load())
			}
		})
	}
}

func TestDecisionErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, config(t))
		if err := r.op.Approve(t.Context(), "nothing", provider.Approval{}); !errors.Is(err, provider.ErrUnknownRequest) {
			t.Errorf("unknown request: %v", err)
		}
		id, req := r.ring("scope", "openid seat", "login_hint", anna, "requested_expiry", "30")
		if err := r.op.Approve(t.Context(), req.ID, provider.Approval{Scopes: []string{"climate"}}); !errors.Is(err, provider.ErrScope) {
			t.Errorf("scope that was not asked for: %v", err)
		}
		if len(r.op.Pending(anna)) != 1 {
			t.Error("a refused approval ended the request")
		}
		time.Sleep(30 * time.Second)
		if err := r.op.Approve(t.Context(), req.ID, provider.Approval{}); !errors.Is(err, provider.ErrLapsed) {
			t.Errorf("approval after the expiry: %v", err)
		}
		if err := r.op.Deny(t.Context(), req.ID); !errors.Is(err, provider.ErrLapsed) {
			t.Errorf("denial after the expiry: %v", err)
		}
		if len(r.op.Pending(anna)) != 0 {
			t.Error("a lapsed request is still pending")
		}
		r.poll(id).want(t, 400, "expired_token")
	})
}
