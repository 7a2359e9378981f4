package ciba_test

import (
	"reflect"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// A pendingSignIn is all that a process must keep of a sign-in.
type pendingSignIn struct {
	authReqID string
	poll      ciba.Poll
}

// TestPendingSignInsAreValues: ten thousand people have not decided yet, and
// that is ten thousand values: no goroutine, no timer, no connection, and so few
// bytes that the provider's auth_req_id may be the most of them. One goroutine
// asks for all, each when it is due.
func TestPendingSignInsAreValues(t *testing.T) {
	const people, most = 10_000, 256
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{SlowDown: true}
		client := newClient(t, op)
		ring(t, client, anna())
		before := runtime.NumGoroutine()
		pending := make([]pendingSignIn, people)
		for i := range pending {
			ack := ring(t, client, anna())
			pending[i] = pendingSignIn{ack.AuthReqID, ciba.NewPoll(ack, time.Now())}
		}
		for range 2 {
			askWhoIsDue(t, client, pending)
		}
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines for %d pending sign-ins, want %d", n, people, before)
		}
		if s := op.Stats(); s.Token != 2*people || s.Early+s.Overlapping+s.AfterEnd != 0 {
			t.Errorf("the provider saw %+v", s)
		}
		size := int(reflect.TypeFor[pendingSignIn]().Size()) + len(pending[0].authReqID)
		if t.Logf("%d bytes each, %d of them the auth_req_id", size, len(pending[0].authReqID)); size > most {
			t.Errorf("%d bytes each, at most %d are allowed", size, most)
		}
	})
}

// askWhoIsDue asks once for each, and none before its time.
func askWhoIsDue(t *testing.T, client *ciba.Client, pending []pendingSignIn) {
	t.Helper()
	for i := range pending {
		p := &pending[i]
		time.Sleep(time.Until(p.poll.Due))
		sent := time.Now()
		_, err := client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: p.authReqID})
		var outcome ciba.Outcome
		if p.poll, outcome = p.poll.After(sent, time.Now(), err); outcome != ciba.OutcomePending {
			t.Fatalf("sign-in %d is %s: %v", i, outcome, err)
		}
	}
}
