package ciba_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
)

// epoch is when the acknowledgement of all these tests came.
var epoch = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

func at(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }

func oauthError(status int, code ciba.Code, edit ...func(*ciba.Error)) error {
	e := &ciba.Error{Endpoint: "token", Status: status, Code: code}
	for _, f := range edit {
		f(e)
	}
	return fmt.Errorf("wrapped: %w", e)
}

func retryAfter(s int) func(*ciba.Error) {
	return func(e *ciba.Error) { e.RetryAfter = time.Duration(s) * time.Second }
}

func withInterval(s int) func(*ciba.Error) {
	return func(e *ciba.Error) { e.Interval = time.Duration(s) * time.Second }
}

// errEither is what a provider means that has one name for both.
var errEither = fmt.Errorf("no: %w, or %w", ciba.ErrDenied, ciba.ErrExpired)

// errAway and errLost are transport errors without and with a chance
// that the provider acted.
var (
	errAway = fmt.Errorf("no route: %w", ciba.ErrUnavailable)
	errLost = fmt.Errorf("reset: %w: %w", ciba.ErrInterrupted, ciba.ErrUnavailable)
)

// A step is one token request: sent at sent, answered at done with err.
type step struct {
	sent, done float64
	err        error
	outcome    ciba.Outcome
	due        float64       // if pending
	interval   time.Duration // if pending; 0 for 5 s
}

func TestPoll(t *testing.T) {
	pending := oauthError(400, ciba.CodeAuthorizationPending)
	slowDown := oauthError(400, ciba.CodeSlowDown)
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"interval runs from sending", []step{
			{sent: 5, done: 5.2, err: pending, outcome: ciba.OutcomePending, due: 10},
			{sent: 13, done: 13.5, err: pending, outcome: ciba.OutcomePending, due: 18},
		}},
		{"slow answer allows the next at once", []step{
			{sent: 5, done: 12, err: pending, outcome: ciba.OutcomePending, due: 12},
			{sent: 12, done: 42, err: pending, outcome: ciba.OutcomePending, due: 42},
		}},
		{"slow_down adds five seconds for good", []step{
			{sent: 5, done: 5, err: slowDown, outcome: ciba.OutcomePending, due: 15, interval: 10 * time.Second},
			{sent: 15, done: 15, err: pending, outcome: ciba.OutcomePending, due: 25, interval: 10 * time.Second},
			{sent: 25, done: 25, err: slowDown, outcome: ciba.OutcomePending, due: 40, interval: 15 * time.Second},
			{sent: 40, done: 40, err: pending, outcome: ciba.OutcomePending, due: 55, interval: 15 * time.Second},
		}},
		{"slow_down with Retry-After waits once for the longer", []step{
			{sent: 5, done: 6, err: oauthError(400, ciba.CodeSlowDown, retryAfter(20)), outcome: ciba.OutcomePending, due: 26, interval: 10 * time.Second},
			{sent: 26, done: 26, err: pending, outcome: ciba.OutcomePending, due: 36, interval: 10 * time.Second},
		}},
		{"slow_down with a short Retry-After keeps the interval", []step{
			{sent: 5, done: 5, err: oauthError(400, ciba.CodeSlowDown, retryAfter(2)), outcome: ciba.OutcomePending, due: 15, interval: 10 * time.Second},
		}},
		{"slow_down with an interval takes the longer for good", []step{
			{sent: 5, done: 5, err: oauthError(400, ciba.CodeSlowDown, withInterval(25)), outcome: ciba.OutcomePending, due: 30, interval: 25 * time.Second},
			{sent: 30, done: 30, err: oauthError(400, ciba.CodeSlowDown, withInterval(5)), outcome: ciba.OutcomePending, due: 60, interval: 30 * time.Second},
		}},
		{"slow_down under 429 and 503", []step{
			{sent: 5, done: 5, err: oauthError(429, ciba.CodeSlowDown), outcome: ciba.OutcomePending, due: 15, interval: 10 * time.Second},
			{sent: 15, done: 15, err: oauthError(503, ciba.CodeSlowDown, retryAfter(20)), outcome: ciba.OutcomePending, due: 35, interval: 15 * time.Second},
		}},
		{"Retry-After of a pending answer", []step{
			{sent: 5, done: 5, err: oauthError(400, ciba.CodeAuthorizationPending, retryAfter(8)), outcome: ciba.OutcomePending, due: 13},
		}},
		{"503 and 429 back off and obey Retry-After", []step{
			{sent: 5, done: 5, err: oauthError(503, ""), outcome: ciba.OutcomePending, due: 10},
			{sent: 10, done: 10, err: oauthError(429, "", retryAfter(3)), outcome: ciba.OutcomePending, due: 20},
			{sent: 20, done: 20, err: oauthError(503, "", retryAfter(40)), outcome: ciba.OutcomePending, due: 60},
			{sent: 60, done: 60, err: pending, outcome: ciba.OutcomePending, due: 65},
			{sent: 65, done: 65, err: oauthError(500, ""), outcome: ciba.OutcomePending, due: 70},
		}},
		{"backing off stays within the expiry", []step{
			{sent: 5, done: 5, err: errAway, outcome: ciba.OutcomePending, due: 10},
			{sent: 10, done: 10, err: errAway, outcome: ciba.OutcomePending, due: 20},
			{sent: 20, done: 20, err: errAway, outcome: ciba.OutcomePending, due: 40},
			{sent: 40, done: 40, err: errAway, outcome: ciba.OutcomePending, due: 80},
			{sent: 80, done: 80, err: errAway, outcome: ciba.OutcomePending, due: 118},
			{sent: 118, done: 118, err: errAway, outcome: ciba.OutcomeUnavailable},
		}},
		{"provider away beyond the expiry", []step{
			{sent: 5, done: 5, err: oauthError(503, "", retryAfter(3600)), outcome: ciba.OutcomeUnavailable},
		}},
		{"slowed down beyond the expiry", []step{
			{sent: 5, done: 5, err: oauthError(400, ciba.CodeSlowDown, withInterval(600)), outcome: ciba.OutcomeExpired},
		}},
		{"the last request waits for the last call", []step{
			{sent: 110, done: 110, err: pending, outcome: ciba.OutcomePending, due: 118},
			{sent: 118, done: 118, err: pending, outcome: ciba.OutcomeExpired},
		}},
		{"a request in time may be answered late", []step{
			{sent: 118, done: 148, err: nil, outcome: ciba.OutcomeGranted},
		}},
		{"lost answer, then pending: nothing was lost", []step{
			{sent: 5, done: 40, err: errLost, outcome: ciba.OutcomePending, due: 45},
			{sent: 45, done: 45, err: pending, outcome: ciba.OutcomePending, due: 50},
			{sent: 50, done: 50, err: oauthError(400, ciba.CodeInvalidGrant), outcome: ciba.OutcomeFailed},
		}},
		{"lost answer, then invalid_grant: it held the tokens", []step{
			{sent: 5, done: 40, err: errLost, outcome: ciba.OutcomePending, due: 45},
			{sent: 45, done: 45, err: oauthError(503, ""), outcome: ciba.OutcomePending, due: 55},
			{sent: 55, done: 55, err: oauthError(400, ciba.CodeInvalidGrant), outcome: ciba.OutcomeInterrupted},
		}},
		{"lost answer, then expired_token: go-oidc says so of redeemed requests", []step{
			{sent: 5, done: 5, err: errLost, outcome: ciba.OutcomePending, due: 10},
			{sent: 10, done: 10, err: oauthError(400, ciba.CodeExpiredToken), outcome: ciba.OutcomeInterrupted},
		}},
		{"lost answer, then denied", []step{
			{sent: 5, done: 5, err: errLost, outcome: ciba.OutcomePending, due: 10},
			{sent: 10, done: 10, err: oauthError(400, ciba.CodeAccessDenied), outcome: ciba.OutcomeDenied},
		}},
		{"success broke off", []step{{sent: 5, done: 5, err: ciba.ErrInterrupted, outcome: ciba.OutcomeInterrupted}}},
		{"use_dpop_nonce", []step{{sent: 5, done: 5, err: oauthError(400, ciba.CodeUseDPoPNonce), outcome: ciba.OutcomePending, due: 10}}},
		{"denied", []step{{sent: 5, done: 5, err: oauthError(400, ciba.CodeAccessDenied), outcome: ciba.OutcomeDenied}}},
		{"denied with 403", []step{{sent: 5, done: 5, err: oauthError(403, ciba.CodeAccessDenied), outcome: ciba.OutcomeDenied}}},
		{"denied or expired, early", []step{{sent: 114, done: 114.9, err: errEither, outcome: ciba.OutcomeDenied}}},
		{"denied or expired, late", []step{{sent: 114, done: 115, err: errEither, outcome: ciba.OutcomeExpired}}},
		{"denied or expired, after a lost answer", []step{
			{sent: 118, done: 118, err: errLost, outcome: ciba.OutcomeUnavailable},
			{sent: 119, done: 119, err: errEither, outcome: ciba.OutcomeInterrupted},
		}},
		{"expired", []step{{sent: 5, done: 5, err: oauthError(400, ciba.CodeExpiredToken), outcome: ciba.OutcomeExpired}}},
		{"invalid_request", []step{{sent: 5, done: 5, err: oauthError(400, ciba.CodeInvalidRequest), outcome: ciba.OutcomeFailed}}},
		{"invalid_client", []step{{sent: 5, done: 5, err: oauthError(401, ciba.CodeInvalidClient), outcome: ciba.OutcomeFailed}}},
		{"unauthorized_client", []step{{sent: 5, done: 5, err: oauthError(403, ciba.CodeUnauthorizedClient), outcome: ciba.OutcomeFailed}}},
		{"invalid_grant", []step{{sent: 5, done: 5, err: oauthError(400, ciba.CodeInvalidGrant), outcome: ciba.OutcomeFailed}}},
		{"unknown code", []step{{sent: 5, done: 5, err: oauthError(400, "teapot"), outcome: ciba.OutcomeFailed}}},
		{"protocol violation", []step{{sent: 5, done: 5, err: ciba.ErrProtocol, outcome: ciba.OutcomeFailed}}},
		{"ID token refused", []step{{sent: 5, done: 5, err: &ciba.IDTokenError{Check: ciba.CheckSubject}, outcome: ciba.OutcomeFailed}}},
		{"foreign error", []step{{sent: 5, done: 5, err: errors.New("boom"), outcome: ciba.OutcomeFailed}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			poll := ciba.NewPoll(ciba.Acknowledgement{ExpiresIn: 120 * time.Second, Interval: 5 * time.Second}, epoch)
			if !poll.Due.Equal(at(5)) || !poll.Deadline.Equal(at(120)) {
				t.Fatalf("first request due at %v and deadline %v, want +5s and +120s", poll.Due.Sub(epoch), poll.Deadline.Sub(epoch))
			}
			for i, s := range tc.steps {
				var outcome ciba.Outcome
				poll, outcome = poll.After(at(s.sent), at(s.done), s.err)
				checkStep(t, i, s, poll, outcome)
			}
		})
	}
}

func checkStep(t *testing.T, i int, s step, poll ciba.Poll, outcome ciba.Outcome) {
	t.Helper()
	if outcome != s.outcome {
		t.Fatalf("step %d: outcome %q, want %q", i, outcome, s.outcome)
	}
	if outcome.Final() {
		return
	}
	if !poll.Due.Equal(at(s.due)) {
		t.Errorf("step %d: due at %v, want %vs", i, poll.Due.Sub(epoch), s.due)
	}
	if want := max(s.interval, 5*time.Second); poll.Interval != want {
		t.Errorf("step %d: interval %v, want %v", i, poll.Interval, want)
	}
}

func TestNewPoll(t *testing.T) {
	for _, tc := range []struct {
		name          string
		ack           ciba.Acknowledgement
		due, deadline float64
	}{
		{"defaults", ciba.Acknowledgement{ExpiresIn: 2 * time.Minute}, 5, 120},
		{"requested expiry is shorter", ciba.Acknowledgement{ExpiresIn: 2 * time.Minute, RequestedExpiry: time.Minute, Interval: 2 * time.Second}, 2, 60},
		{"requested expiry is longer", ciba.Acknowledgement{ExpiresIn: time.Minute, RequestedExpiry: time.Hour, Interval: 2 * time.Second}, 2, 60},
		{"one request only: late", ciba.Acknowledgement{ExpiresIn: 9 * time.Second, Interval: 5 * time.Second}, 7, 9},
		{"too short for any", ciba.Acknowledgement{ExpiresIn: 3 * time.Second, Interval: 5 * time.Second}, 3, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			poll := ciba.NewPoll(tc.ack, epoch)
			if !poll.Due.Equal(at(tc.due)) || !poll.Deadline.Equal(at(tc.deadline)) {
				t.Errorf("due %v, deadline %v; want %vs, %vs", poll.Due.Sub(epoch), poll.Deadline.Sub(epoch), tc.due, tc.deadline)
			}
		})
	}
}

// TestPollLaws plays random providers against Poll and holds it to what must be
// true whatever they answer.
func TestPollLaws(t *testing.T) {
	answers := []error{
		oauthError(400, ciba.CodeAuthorizationPending), oauthError(400, ciba.CodeAuthorizationPending),
		oauthError(400, ciba.CodeAuthorizationPending, retryAfter(7)), oauthError(400, ciba.CodeSlowDown),
		oauthError(400, ciba.CodeSlowDown, retryAfter(30), withInterval(12)), oauthError(503, ""),
		oauthError(429, "", retryAfter(11)), errAway, errLost,
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		life := time.Duration(1+rng.IntN(600)) * time.Second
		interval := time.Duration(rng.IntN(20)) * time.Second
		poll := ciba.NewPoll(ciba.Acknowledgement{ExpiresIn: life, Interval: interval}, epoch)
		outcome := poll.Ended(poll.Due)
		requests := 0
		for outcome == ciba.OutcomePending {
			if !poll.Due.Before(poll.Deadline) {
				t.Fatalf("request due %v after the deadline", poll.Due.Sub(poll.Deadline))
			}
			requests++
			before, sent := poll, poll.Due.Add(time.Duration(rng.IntN(1000))*time.Millisecond)
			done := sent.Add(time.Duration(rng.IntN(40000)) * time.Millisecond)
			answer := answers[rng.IntN(len(answers))]
			poll, outcome = poll.After(sent, done, answer)
			holdLaws(t, before, poll, outcome, sent, done, answer)
		}
		if most := int(life/max(interval, time.Second)) + 1; requests > most {
			t.Fatalf("%d requests in %v with interval %v", requests, life, interval)
		}
	}
}

func holdLaws(t *testing.T, before, after ciba.Poll, outcome ciba.Outcome, sent, done time.Time, answer error) {
	t.Helper()
	if after.Interval < before.Interval {
		t.Fatalf("interval fell from %v to %v", before.Interval, after.Interval)
	}
	if errors.Is(answer, ciba.ErrSlowDown) && after.Interval < before.Interval+ciba.SlowDownStep {
		t.Fatalf("slow_down changed the interval from %v to %v only", before.Interval, after.Interval)
	}
	if after.Due.Before(sent.Add(after.Interval)) || after.Due.Before(done) {
		t.Fatalf("due %v after sending with interval %v, answered after %v", after.Due.Sub(sent), after.Interval, done.Sub(sent))
	}
	var e *ciba.Error
	if errors.As(answer, &e) && after.Due.Before(done.Add(e.RetryAfter)) {
		t.Fatalf("due %v after the answer, Retry-After was %v", after.Due.Sub(done), e.RetryAfter)
	}
	if !after.Deadline.Equal(before.Deadline) {
		t.Fatal("the deadline moved")
	}
	if (outcome == ciba.OutcomePending) != after.Due.Before(after.Deadline) {
		t.Fatalf("outcome %q with the next request due %v before the deadline", outcome, after.Deadline.Sub(after.Due))
	}
}

func TestEnded(t *testing.T) {
	poll := ciba.NewPoll(ciba.Acknowledgement{ExpiresIn: time.Minute}, epoch)
	if got := poll.Ended(at(59.9)); got != ciba.OutcomePending {
		t.Errorf("before the deadline: %q", got)
	}
	if got := poll.Ended(at(60)); got != ciba.OutcomeExpired {
		t.Errorf("at the deadline: %q", got)
	}
	poll.Failures = 1
	if got := poll.Ended(at(60)); got != ciba.OutcomeUnavailable {
		t.Errorf("at the deadline, while the provider was away: %q", got)
	}
}

// TestPingPoll: slow before the ping, at once after it, then at the interval.
func TestPingPoll(t *testing.T) {
	pending := oauthError(400, ciba.CodeAuthorizationPending)
	poll := ciba.NewPingPoll(ciba.Acknowledgement{ExpiresIn: 5 * time.Minute}, epoch)
	want := func(due float64) {
		t.Helper()
		if !poll.Due.Equal(at(due)) {
			t.Errorf("due at %v, want %vs", poll.Due.Sub(epoch), due)
		}
	}
	want(45)
	poll, _ = poll.After(at(45), at(45), pending)
	want(90)
	poll, _ = poll.After(at(90), at(91), oauthError(400, ciba.CodeSlowDown))
	want(135)
	poll = poll.AfterPing(at(100))
	want(100)
	poll = poll.AfterPing(at(101))
	want(100)
	poll, _ = poll.After(at(102), at(102), pending) // a false ping: 5 s and 5 s from slow_down
	want(112)
	poll = poll.AfterPing(at(103))
	want(112)
	if poll, outcome := poll.After(at(112), at(112), nil); outcome != ciba.OutcomeGranted || !poll.Pinged {
		t.Errorf("tokens: %q", outcome)
	}

	late := ciba.NewPingPoll(ciba.Acknowledgement{ExpiresIn: 60 * time.Second, Interval: 50 * time.Second}, epoch)
	if !late.Due.Equal(at(58)) || !late.AfterPing(at(59)).Due.Equal(at(58)) {
		t.Errorf("last call is at %v", late.Due.Sub(epoch))
	}
	if p := ciba.NewPoll(ciba.Acknowledgement{ExpiresIn: time.Minute}, epoch); p.AfterPing(at(1)) != p {
		t.Error("a ping changes a sign-in in poll mode")
	}
}

// TestPingPollLaws: whatever comes when, no request but the one after the first
// ping is earlier than the interval allows.
func TestPingPollLaws(t *testing.T) {
	answers := []error{
		oauthError(400, ciba.CodeAuthorizationPending), oauthError(400, ciba.CodeAuthorizationPending, retryAfter(7)),
		oauthError(400, ciba.CodeSlowDown), oauthError(503, "", retryAfter(11)), errAway, errLost,
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		poll := ciba.NewPingPoll(ciba.Acknowledgement{ExpiresIn: time.Duration(1+rng.IntN(600)) * time.Second, Interval: time.Duration(rng.IntN(60)) * time.Second}, epoch)
		outcome := poll.Ended(poll.Due)
		for outcome == ciba.OutcomePending {
			before := poll
			for range rng.IntN(3) { // pings while nothing is on its way
				if now := poll.Due.Add(-time.Duration(rng.IntN(60)) * time.Second); now.After(epoch) {
					poll = poll.AfterPing(now)
				}
			}
			if before.Pinged && poll != before {
				t.Fatal("the second ping changed something")
			}
			if outcome = poll.Ended(poll.Due); outcome != ciba.OutcomePending {
				break
			}
			sent := poll.Due
			done := sent.Add(time.Duration(rng.IntN(40000)) * time.Millisecond)
			answer, previous := answers[rng.IntN(len(answers))], poll
			poll, outcome = poll.After(sent, done, answer)
			holdLaws(t, previous, poll, outcome, sent, done, answer)
			last := poll.Deadline.Add(-ciba.LastCall)
			if gap := poll.Due.Sub(sent); !poll.Pinged && gap < ciba.PingFallback && !poll.Due.Equal(last) {
				t.Fatalf("next request after %v without a ping", gap)
			}
		}
	}
}
