package ciba_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// A notifyDesk is where the pings or the pushes for a client arrive.
type notifyDesk struct {
	tokens  *ciba.NotificationTokens
	pending sync.Map // the id of a sign-in, to a *notice
	// handler is set when the provider, and so the client, is known.
	handler atomic.Pointer[ciba.NotificationHandler]
}

// A notice is what was heard of a sign-in.
type notice struct {
	expect    ciba.Expect
	authReqID atomic.Pointer[string] // nil while the acknowledgement is on its way
	pings     atomic.Int32
	pushes    chan pushed
}

type pushed struct {
	tokens *ciba.Tokens
	err    error
}

// newNotifyDesk returns a desk at an https URL with a certificate of authority.
func newNotifyDesk(t *testing.T, authority *mtlstest.Authority) (desk *notifyDesk, url string) {
	t.Helper()
	key := make([]byte, ciba.MinNotificationKey)
	rand.Read(key)
	desk = &notifyDesk{tokens: must(ciba.NewNotificationTokens(key))}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		desk.handler.Load().ServeHTTP(w, r)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{*authority.Server("127.0.0.1")}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return desk, server.URL + "/ciba/notify"
}

// open lets notifications for client in.
func (d *notifyDesk) open(t *testing.T, client *ciba.Client) {
	t.Helper()
	h, err := ciba.NewNotificationHandler(ciba.NotificationConfig{
		Client: client,
		Tokens: d.tokens,
		SignIn: func(_ context.Context, id string) (ciba.SignIn, error) {
			n, ok := d.pending.Load(id)
			if !ok {
				return ciba.SignIn{}, ciba.ErrUnknownSignIn
			}
			s := ciba.SignIn{Expect: n.(*notice).expect}
			if authReqID := n.(*notice).authReqID.Load(); authReqID != nil {
				s.AuthReqID = *authReqID
			}
			return s, nil
		},
		Pinged: func(_ context.Context, id string) error {
			n, _ := d.pending.Load(id)
			n.(*notice).pings.Add(1)
			return nil
		},
		Pushed: func(_ context.Context, id string, tokens *ciba.Tokens, err error) error {
			n, _ := d.pending.Load(id)
			n.(*notice).pushes <- pushed{tokens, err}
			return nil
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	d.handler.Store(h)
}

// expect makes req one that the desk will hear of.
func (d *notifyDesk) expect(t *testing.T, req *ciba.AuthenticationRequest, expect ciba.Expect) *notice {
	t.Helper()
	id, n := rand.Text(), &notice{expect: expect, pushes: make(chan pushed, 10)}
	d.pending.Store(id, n)
	req.NotificationToken = must(d.tokens.Mint(id))
	return n
}

var errNotPushed = errors.New("nothing was pushed")

// push returns what was pushed first. Providers push before they say that a
// decision is theirs.
func (n *notice) push() (*ciba.Tokens, error) {
	select {
	case p := <-n.pushes:
		return p.tokens, p.err
	default:
		return nil, errNotPushed
	}
}

// pingRows are what only ping mode has.
func pingRows() []interopRow {
	ping := []ciba.DeliveryMode{ciba.DeliveryPing}
	return []interopRow{
		{name: "approved and pinged", try: pinged(false), modes: ping},
		{name: "denied and pinged", try: pinged(true), want: []error{ciba.ErrDenied}, modes: ping},
		{name: "asked before the ping", try: (*interopTrial).askedBeforePing, want: []error{ciba.ErrPending}, modes: ping},
	}
}

// pinged: the ping comes as soon as the person has decided either way, and makes
// a request due that the provider answers.
func pinged(deny bool) func(*interopTrial, *testing.T) error {
	return func(c *interopTrial, t *testing.T) error {
		s := c.mustRing(t)
		poll := ciba.NewPingPoll(s.Acknowledgement, time.Now())
		c.decide(t, s, deny) // returns after the ping
		if n := s.notice.pings.Load(); n != 1 {
			t.Errorf("%d pings", n)
		}
		if now := time.Now(); poll.AfterPing(now).Due.After(now) {
			t.Errorf("pinged, but the next request is due in %v", poll.AfterPing(now).Due.Sub(now))
		}
		_, err := c.collect(t, s)
		return err
	}
}

// askedBeforePing: it does no harm.
func (c *interopTrial) askedBeforePing(t *testing.T) error {
	s := c.mustRing(t)
	_, early := c.collect(t, s)
	c.decide(t, s, false)
	if _, err := c.collect(t, s); err != nil || s.notice.pings.Load() != 1 {
		t.Errorf("after %d pings: %v", s.notice.pings.Load(), err)
	}
	return early
}

// pushRows are what only push mode has.
func pushRows() []interopRow {
	push := []ciba.DeliveryMode{ciba.DeliveryPush}
	return []interopRow{
		{name: "approved too late and pushed", try: (*interopTrial).approvedTooLate, want: []error{ciba.ErrExpired}, modes: push},
		{name: "pushed, and `at_hash` demanded", try: (*interopTrial).pushedWithoutTolerance, want: []error{ciba.ErrIDToken, ciba.ErrProtocol}, modes: push},
	}
}

// pushedWithoutTolerance: CIBA Core section 10.3.1 demands the claim.
func (c *interopTrial) pushedWithoutTolerance(t *testing.T) error {
	s := c.mustRing(t)
	c.decide(t, s, false)
	tokens, err := c.collect(t, s)
	if err != nil {
		t.Fatal(err)
	}
	strict, expect := c.as.right, s.expect
	strict.Tolerate = nil
	expect.Push, expect.AuthReqID, expect.AccessToken, expect.RefreshToken = true, s.AuthReqID, tokens.AccessToken, tokens.RefreshToken
	_, err = c.peer.client(t, c.as, strict).VerifyIDToken(t.Context(), tokens.IDToken.Raw, expect)
	return err
}

// approvedTooLate: the provider pushes that, too.
func (c *interopTrial) approvedTooLate(t *testing.T) error {
	s := c.mustRing(t)
	c.peer.people.lapse(t, s.AuthReqID)
	c.decide(t, s, false)
	_, err := c.collect(t, s)
	return err
}
