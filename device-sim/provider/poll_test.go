package provider_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

// Polls that come early are told to slow down, by 5 s each time and for good.
func TestSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slowed []time.Duration
		cfg := config(t)
		cfg.MaxLifetime = 10 * time.Minute
		cfg.Observe = func(e provider.Event) {
			if e.Kind == provider.SlowDown {
				slowed = append(slowed, e.Interval)
			}
		}
		r := newRig(t, cfg)
		id, req := r.ring("scope", "openid", "login_hint", anna, "requested_expiry", "600")
		other, second := r.ring("scope", "openid", "login_hint", anna, "requested_expiry", "600")
		for _, step := range []struct {
			after time.Duration
			code  string
		}{
			{0, "authorization_pending"},                // the first poll is never early
			{3 * time.Second, "slow_down"},              // 5 s were asked for; 10 s from now on
			{5 * time.Second, "slow_down"},              // 15 s
			{14 * time.Second, "authorization_pending"}, // a second is tolerated
			{13 * time.Second, "slow_down"},             // two are not; 20 s from now on
			{20 * time.Second, "authorization_pending"},
			{20 * time.Second, "authorization_pending"},
		} {
			time.Sleep(step.after)
			r.poll(id).want(t, 400, step.code)
		}
		if len(slowed) != 3 || slowed[2] != 20*time.Second {
			t.Errorf("slowed down to %v", slowed)
		}
		r.poll(other).want(t, 400, "authorization_pending") // each request has its own interval
		if err := r.op.Approve(t.Context(), req.ID, provider.Approval{}); err != nil {
			t.Fatal(err)
		}
		if err := r.op.Deny(t.Context(), second.ID); err != nil {
			t.Fatal(err)
		}
		r.poll(other).want(t, 400, "access_denied")
		if a := r.poll(id); a.status != 200 { // slow_down says that a request is pending; this one is not
			t.Errorf("early poll of a decided request: %d %v", a.status, a.json)
		}
	})
}

// A client that keeps to the interval never hears slow_down.
func TestPunctualPollsAreNotSlowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t)
		cfg.Interval = 2 * time.Second
		r := newRig(t, cfg)
		id, _ := r.ring("scope", "openid", "login_hint", anna)
		for range 59 {
			time.Sleep(2 * time.Second)
			r.poll(id).want(t, 400, "authorization_pending")
		}
		time.Sleep(2 * time.Second)
		r.poll(id).want(t, 400, "expired_token")
	})
}

func TestPollAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, config(t))
		approved, req := r.ring()
		if err := r.op.Approve(t.Context(), req.ID, provider.Approval{}); err != nil {
			t.Fatal(err)
		}
		pending, _ := r.ring()
		time.Sleep(2 * time.Minute)
		r.poll(approved).want(t, 400, "expired_token")
		r.poll(pending).want(t, 400, "expired_token")
		r.poll(pending).want(t, 400, "expired_token")
		r.poll("never-issued").want(t, 400, "invalid_grant")
		r.poll("").want(t, 400, "invalid_request")
	})
}
