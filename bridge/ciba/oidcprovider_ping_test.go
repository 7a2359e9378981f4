package ciba_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// pingRows are those that only ping mode has.
func pingRows() []oidcRow {
	return []oidcRow{
		{"approved and pinged", pinged(false), nil},
		{"denied and pinged", pinged(true), []error{ciba.ErrDenied}},
		{"asked before the ping", oidcTrial.askedBeforePing, []error{ciba.ErrPending}},
	}
}

// A pingDesk is where a client's pings arrive.
type pingDesk struct {
	tokens  *ciba.NotificationTokens
	pending sync.Map // the id of a sign-in, to a *pingWait
	// handler is set when the provider, and so the client, is known.
	handler atomic.Pointer[ciba.NotificationHandler]
}

// A pingWait is a sign-in that waits for its ping.
type pingWait struct {
	authReqID string
	pings     atomic.Int32
}

// newPingDesk returns a desk at an https URL with a certificate of authority.
func newPingDesk(t *testing.T, authority *mtlstest.Authority) (desk *pingDesk, url string) {
	t.Helper()
	key := make([]byte, ciba.MinNotificationKey)
	rand.Read(key)
	desk = &pingDesk{tokens: must(ciba.NewNotificationTokens(key))}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		desk.handler.Load().ServeHTTP(w, r)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{*authority.Server("127.0.0.1")}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return desk, server.URL + "/ciba/ping"
}

// open lets pings for client in.
func (d *pingDesk) open(t *testing.T, client *ciba.Client) {
	t.Helper()
	h, err := ciba.NewNotificationHandler(ciba.NotificationConfig{
		Client: client,
		Tokens: d.tokens,
		SignIn: func(_ context.Context, id string) (ciba.SignIn, error) {
			w, ok := d.pending.Load(id)
			if !ok {
				return ciba.SignIn{}, ciba.ErrUnknownSignIn
			}
			return ciba.SignIn{AuthReqID: w.(*pingWait).authReqID}, nil
		},
		Pinged: func(_ context.Context, id string) error {
			w, _ := d.pending.Load(id)
			w.(*pingWait).pings.Add(1)
			return nil
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	d.handler.Store(h)
}

// pinging returns c as a client that is pinged at url.
func (c oidcClient) pinging(url string) oidcClient {
	c.id += ".ping"
	c.metadata = maps.Clone(c.metadata)
	c.metadata["backchannel_token_delivery_mode"] = "ping"
	c.metadata["backchannel_client_notification_endpoint"] = url
	c.right.Delivery, c.wrong.Delivery = ciba.DeliveryPing, ciba.DeliveryPing
	return c
}

// ringForPing rings, and returns what waits for the ping.
func (c oidcTrial) ringForPing(t *testing.T) (ciba.Acknowledgement, *pingWait) {
	t.Helper()
	id := rand.Text()
	req := anna()
	req.NotificationToken = must(c.desk.tokens.Mint(id))
	ack := ring(t, c.client, req)
	wait := &pingWait{authReqID: ack.AuthReqID}
	c.desk.pending.Store(id, wait)
	return ack, wait
}

// pinged: the ping comes as soon as the person has decided either way, and makes
// a request due that the provider answers.
func pinged(deny bool) func(oidcTrial, *testing.T) error {
	return func(c oidcTrial, t *testing.T) error {
		ack, wait := c.ringForPing(t)
		poll := ciba.NewPingPoll(ack, time.Now())
		c.op.decide(t, decision{AuthReqID: ack.AuthReqID, Deny: deny}) // returns after the ping
		if n := wait.pings.Load(); n != 1 {
			t.Errorf("%d pings", n)
		}
		if now := time.Now(); poll.AfterPing(now).Due.After(now) {
			t.Errorf("pinged, but the next request is due in %v", poll.AfterPing(now).Due.Sub(now))
		}
		_, err := c.redeem(t, ack, "anna")
		return err
	}
}

// askedBeforePing: it does no harm.
func (c oidcTrial) askedBeforePing(t *testing.T) error {
	ack, wait := c.ringForPing(t)
	_, early := c.redeem(t, ack, "anna")
	c.op.decide(t, decision{AuthReqID: ack.AuthReqID})
	if _, err := c.redeem(t, ack, "anna"); err != nil || wait.pings.Load() != 1 {
		t.Errorf("after %d pings: %v", wait.pings.Load(), err)
	}
	return early
}
