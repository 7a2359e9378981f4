package ciba_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

var notificationKey = []byte(strings.Repeat("k", 32))

// A desk is what a consumer of notifications keeps, and what it was told.
type desk struct {
	client *ciba.Client
	tokens *ciba.NotificationTokens
	http.Handler

	mu      sync.Mutex
	signIns map[string]ciba.SignIn
	pings   []string
	pushed  []*ciba.Tokens
	errs    []error
	down    error // of all functions

	bell chan struct{} // rings with each ping and push
}

// newDesk makes op notify a new desk.
func newDesk(t testing.TB, op *cibatest.Provider, edit ...func(*ciba.NotificationConfig)) *desk {
	t.Helper()
	d := &desk{signIns: map[string]ciba.SignIn{}, bell: make(chan struct{}, 100)}
	d.client = newClient(t, op, func(cfg *ciba.Config) { cfg.Delivery = ciba.DeliveryMode(op.Delivery) })
	d.tokens = must(ciba.NewNotificationTokens(notificationKey))
	cfg := ciba.NotificationConfig{
		Client: d.client, Tokens: d.tokens, SignIn: d.signIn, Pinged: d.pinged, Pushed: d.push,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, f := range edit {
		f(&cfg)
	}
	d.Handler = must(ciba.NewNotificationHandler(cfg))
	op.Endpoint = d
	return d
}

func (d *desk) signIn(_ context.Context, id string) (ciba.SignIn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down != nil {
		return ciba.SignIn{}, d.down
	}
	s, ok := d.signIns[id]
	if !ok {
		return ciba.SignIn{}, fmt.Errorf("row: %w", ciba.ErrUnknownSignIn)
	}
	return s, nil
}

func (d *desk) pinged(_ context.Context, id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pings = append(d.pings, id)
	d.bell <- struct{}{}
	return nil
}

func (d *desk) push(_ context.Context, _ string, tokens *ciba.Tokens, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pushed, d.errs = append(d.pushed, tokens), append(d.errs, err)
	d.bell <- struct{}{}
	return nil
}

// ring begins a sign-in of Anna.
func (d *desk) ring(t testing.TB, id string) ciba.Acknowledgement {
	t.Helper()
	return d.begin(t, id, anna(), ciba.Expect{Subject: "anna@example.com", RequestedAt: time.Now()})
}

// begin begins a sign-in.
func (d *desk) begin(t testing.TB, id string, req ciba.AuthenticationRequest, expect ciba.Expect) ciba.Acknowledgement {
	t.Helper()
	d.mu.Lock()
	d.signIns[id] = ciba.SignIn{} // no acknowledgement yet
	d.mu.Unlock()
	req.NotificationToken = must(d.tokens.Mint(id))
	ack := ring(t, d.client, req)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.signIns[id] = ciba.SignIn{AuthReqID: ack.AuthReqID, Expect: expect}
	return ack
}

func wantReplies(t *testing.T, op *cibatest.Provider, want ...int) {
	t.Helper()
	if got := op.Replies(); !slices.Equal(got, want) {
		t.Errorf("notifications were answered with %v, want %v", got, want)
	}
}

func (d *desk) wantPings(t *testing.T, want ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.pings, want) {
		t.Errorf("pings for %v, want %v", d.pings, want)
	}
}

// TestPing: one request right after the ping gets the tokens, or the refusal.
func TestPing(t *testing.T) {
	for name, tc := range map[string]struct {
		decide func(*cibatest.Provider, string) bool
		class  error
	}{
		"approve": {(*cibatest.Provider).Approve, nil},
		"deny":    {(*cibatest.Provider).Deny, ciba.ErrDenied},
		"expire":  {(*cibatest.Provider).Expire, ciba.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := &cibatest.Provider{Delivery: "ping", SlowDown: true}
				d := newDesk(t, op)
				ack := d.ring(t, "s1")
				poll := ciba.NewPingPoll(ack, time.Now())
				time.Sleep(time.Second)
				if !tc.decide(op, ack.AuthReqID) {
					t.Fatal("not pending")
				}
				d.wantPings(t, "s1")
				wantReplies(t, op, 204)
				if poll = poll.AfterPing(time.Now()); !poll.Due.Equal(time.Now()) {
					t.Errorf("due in %v, want now", time.Until(poll.Due))
				}
				_, err := d.client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
				if tc.class == nil && err != nil {
					t.Error(err)
				}
				if tc.class != nil {
					wantClasses(t, err, tc.class)
				}
				if s := op.Stats(); s.Token != 1 || s.Early != 0 {
					t.Errorf("provider saw %+v", s)
				}
			})
		})
	}
}

// TestPingGoneWrong: what a ping leads to that only we can get wrong. What the
// provider can is in TestHostileProvider.
func TestPingGoneWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(d *desk, n cibatest.Notification) cibatest.Notification
		want int
	}{
		"token under another key": {func(_ *desk, n cibatest.Notification) cibatest.Notification {
			other := must(ciba.NewNotificationTokens([]byte(strings.Repeat("j", 32))))
			return n.WithHeader("Authorization", "Bearer "+must(other.Mint("s1")))
		}, 401},
		"token of a sign-in that is not": {func(d *desk, n cibatest.Notification) cibatest.Notification {
			return n.WithHeader("Authorization", "Bearer "+must(d.tokens.Mint("s9")))
		}, 401},
		"store down": {func(d *desk, n cibatest.Notification) cibatest.Notification {
			d.down = errors.New("no database")
			return n
		}, 503},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := &cibatest.Provider{Delivery: "ping", SlowDown: true}
				d := newDesk(t, op)
				ack := d.ring(t, "s1")
				op.EditNotification = func(n cibatest.Notification) []cibatest.Notification {
					return []cibatest.Notification{tc.edit(d, n)}
				}
				op.Approve(ack.AuthReqID)
				wantReplies(t, op, tc.want)
				d.wantPings(t)
			})
		})
	}
}

// TestRefusalsAreAlike: who asks with a wrong token, sign-in or auth_req_id
// learns nothing from the answer.
func TestRefusalsAreAlike(t *testing.T) {
	op := &cibatest.Provider{Delivery: "ping"}
	d := newDesk(t, op)
	ack := d.ring(t, "s1")
	answers := map[string]string{}
	for _, token := range []string{"", "x.y", must(d.tokens.Mint("s9")), must(d.tokens.Mint("s1"))} {
		for _, id := range []string{ack.AuthReqID, "unknown"} {
			r := httptest.NewRequest("POST", "/", strings.NewReader(fmt.Sprintf(`{"auth_req_id":%q}`, id)))
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			d.ServeHTTP(w, r)
			answers[fmt.Sprint(w.Code, w.Header(), w.Body)] = token + id
		}
	}
	if len(answers) != 2 {
		t.Errorf("%d different answers, want one for success and one for all refusals: %v", len(answers), answers)
	}
}

// TestPingBeforeAcknowledgement: it is not lost, and no oracle for guesses.
func TestPingBeforeAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{Delivery: "ping"}
		d := newDesk(t, op)
		op.OnRequest = func(r cibatest.Request) { op.Approve(r.AuthReqID) } // before the answer
		ack := d.ring(t, "s1")
		wantReplies(t, op, 204)
		d.wantPings(t, "s1")
		poll := ciba.NewPingPoll(ack, time.Now()).AfterPing(time.Now())
		if !poll.Due.Equal(time.Now()) {
			t.Errorf("due in %v", time.Until(poll.Due))
		}
		if _, err := d.client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID}); err != nil {
			t.Error(err)
		}
	})
}

// TestNotifiedAfterEnd: what comes again after the end is taken, and told nobody.
func TestNotifiedAfterEnd(t *testing.T) {
	for _, mode := range []string{"ping", "push"} {
		op := &cibatest.Provider{Delivery: mode}
		d := newDesk(t, op)
		ack := d.ring(t, "s1")
		d.signIns["s1"] = ciba.SignIn{Ended: true}
		op.EditNotification = func(n cibatest.Notification) []cibatest.Notification {
			return []cibatest.Notification{n, n.WithHeader("Authorization", "Bearer x.y")}
		}
		op.Approve(ack.AuthReqID)
		wantReplies(t, op, 204, 401)
		if len(d.pings) != 0 || len(d.errs) != 0 {
			t.Errorf("%s: told of %d pings and %d pushes", mode, len(d.pings), len(d.errs))
		}
	}
}

// TestReplayedPings: they cause nothing beyond what the interval allows.
func TestReplayedPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{Delivery: "ping", SlowDown: true}
		d := newDesk(t, op)
		var kept []cibatest.Notification
		op.EditNotification = func(n cibatest.Notification) []cibatest.Notification {
			kept = append(kept, n)
			return nil
		}
		ack := d.ring(t, "s1")
		premature := cibatest.Notification{Method: "POST", Body: map[string]any{"auth_req_id": ack.AuthReqID}, Header: http.Header{
			"Authorization": {"Bearer " + must(d.tokens.Mint("s1"))}, "Content-Type": {"application/json"}}}
		poll, outcome := ciba.NewPingPoll(ack, time.Now()), ciba.OutcomePending
		for range 40 { // a ping each second, all before the decision
			if op.Send(premature) != 204 {
				t.Fatal("ping refused")
			}
			poll = poll.AfterPing(time.Now())
			if !time.Now().Before(poll.Due) {
				sent := time.Now()
				_, err := d.client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
				poll, outcome = poll.After(sent, time.Now(), err)
			}
			time.Sleep(time.Second)
		}
		if s := op.Stats(); s.Token != 8 || s.Early != 0 || outcome != ciba.OutcomePending {
			t.Errorf("40 replayed pings led to %+v and %q, want a request every 5 s", s, outcome)
		}
		op.Approve(ack.AuthReqID)
		if len(kept) != 1 {
			t.Errorf("%d pings were kept", len(kept))
		}
	})
}

// TestLostPing: the slow fallback finds the tokens.
func TestLostPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{Delivery: "ping", SlowDown: true}
		d := newDesk(t, op)
		op.Endpoint = nil
		ack := d.ring(t, "s1")
		time.AfterFunc(50*time.Second, func() { op.Approve(ack.AuthReqID) })
		start := time.Now()
		poll, outcome := ciba.NewPingPoll(ack, start), ciba.OutcomePending
		for outcome == ciba.OutcomePending {
			time.Sleep(time.Until(poll.Due))
			sent := time.Now()
			_, err := d.client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
			poll, outcome = poll.After(sent, time.Now(), err)
		}
		if outcome != ciba.OutcomeGranted || op.Stats().Token != 2 || time.Since(start) != 118*time.Second {
			t.Errorf("%q after %v and %d requests", outcome, time.Since(start), op.Stats().Token)
		}
	})
}

func TestPeerIsVerified(t *testing.T) {
	op := &cibatest.Provider{Delivery: "ping"}
	var saw *tls.ConnectionState
	var log strings.Builder
	d := newDesk(t, op, func(cfg *ciba.NotificationConfig) {
		cfg.VerifyPeer = func(s *tls.ConnectionState) error { saw = s; return errors.New("no certificate") }
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	d.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil))
	if log.Len() > 0 {
		t.Errorf("who has no token fills the log: %s", log.String())
	}
	ack := d.ring(t, "s1")
	op.Approve(ack.AuthReqID)
	wantReplies(t, op, 401)
	d.wantPings(t)
	if saw != nil {
		t.Error("without TLS there is a state")
	}
	if !strings.Contains(log.String(), "stranger") {
		t.Error("a stranger with a token is not logged")
	}
}
