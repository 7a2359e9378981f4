package ciba_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/luikyv/go-oidc/pkg/provider"
)

// handlerClient sends everything to one handler and keeps the statuses.
type handlerClient struct {
	http.Handler
	statuses []int
}

func (c *handlerClient) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	c.statuses = append(c.statuses, w.Code)
	return w.Result(), nil
}

// notifiedDesk returns a go-oidc that notifies a desk.
func notifiedDesk(t *testing.T, mode ciba.DeliveryMode, edit ...func(*ciba.Config)) (*foreignProvider, *desk, *handlerClient) {
	t.Helper()
	endpoint := &handlerClient{}
	p := newForeignProvider(t, func(f *foreign) {
		f.ciba.DeliveryModes = []goidc.CIBATokenDeliveryMode{goidc.CIBATokenDeliveryMode(mode)}
		f.cibaOpt = append(f.cibaOpt, provider.WithCIBAHTTPClientFunc(func(context.Context) *http.Client {
			return &http.Client{Transport: endpoint}
		}))
		f.client = func(c *goidc.Client) {
			c.CIBATokenDeliveryMode = goidc.CIBATokenDeliveryMode(mode)
			c.CIBANotificationEndpoint = "https://client.test/notify"
		}
	})
	d := &desk{signIns: map[string]ciba.SignIn{}, tokens: must(ciba.NewNotificationTokens(notificationKey))}
	d.client = p.client(t, "basic", ciba.ClientSecretBasic("s3cret-basic"), append(edit, func(cfg *ciba.Config) { cfg.Delivery = mode })...)
	endpoint.Handler = must(ciba.NewNotificationHandler(ciba.NotificationConfig{
		Client: d.client, Tokens: d.tokens, SignIn: d.signIn, Pinged: d.pinged, Pushed: d.push,
	}))
	return p, d, endpoint
}

func (d *desk) ringForeign(t *testing.T, id string) ciba.Acknowledgement {
	t.Helper()
	req := foreignRequest()
	req.NotificationToken = must(d.tokens.Mint(id))
	start := time.Now()
	ack := ring(t, d.client, req)
	d.signIns[id] = ciba.SignIn{AuthReqID: ack.AuthReqID, Expect: ciba.Expect{Subject: "anna-7", RequestedAt: start}}
	return ack
}

func TestInteropGoOIDCPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d, endpoint := notifiedDesk(t, ciba.DeliveryPing)
		ack := d.ringForeign(t, "s1")
		p.approve(t)
		d.wantPings(t, "s1")
		if _, err := d.client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID, Expect: d.signIns["s1"].Expect}); err != nil {
			t.Error(err)
		}
		ack = d.ringForeign(t, "s2")
		p.deny(t)
		d.wantPings(t, "s1", "s2")
		_, err := d.client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
		wantClasses(t, err, ciba.ErrDenied)
		if len(endpoint.statuses) != 2 || endpoint.statuses[0] != 204 || endpoint.statuses[1] != 204 {
			t.Errorf("pings were answered with %v", endpoint.statuses)
		}
	})
}

// TestInteropGoOIDCPush: its pushed ID tokens have no at_hash, so they are
// refused unless that is tolerated by name.
func TestInteropGoOIDCPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, d, _ := notifiedDesk(t, ciba.DeliveryPush, func(cfg *ciba.Config) {
			cfg.Tolerate = []ciba.Tolerance{ciba.ToleratePushWithoutAtHash}
		})
		d.ringForeign(t, "s1")
		p.approve(t)
		tokens, err := d.wantPushed(t)
		if err != nil || tokens.RefreshToken == "" || tokens.IDToken.Subject != "anna-7" {
			t.Errorf("pushed: %v", err)
		}

		p, d, _ = notifiedDesk(t, ciba.DeliveryPush)
		d.ringForeign(t, "s1")
		p.approve(t)
		_, err = d.wantPushed(t)
		wantCheck(t, err, ciba.CheckAtHash)

		p, d, _ = notifiedDesk(t, ciba.DeliveryPush)
		d.ringForeign(t, "s1")
		p.deny(t)
		_, err = d.wantPushed(t)
		wantClasses(t, err, ciba.ErrDenied)
	})
}
