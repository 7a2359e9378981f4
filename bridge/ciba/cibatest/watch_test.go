package cibatest_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// TestWatchesFaults: what a client must keep to may have been said by a fault.
func TestWatchesFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		fault   cibatest.Fault
		allowed time.Duration
	}{
		"pending":             {nil, 5 * time.Second},
		"slow_down":           {cibatest.SlowDown(0, 0), 10 * time.Second},
		"interval":            {cibatest.SlowDown(0, 30*time.Second), 30 * time.Second},
		"Retry-After":         {cibatest.SlowDown(40*time.Second, 0), 40 * time.Second},
		"503 and Retry-After": {cibatest.Busy(503, 20*time.Second), 20 * time.Second},
		"late":                {cibatest.Delay(2 * time.Second), 5 * time.Second},
	} {
		for _, early := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					op := &cibatest.Provider{Token: cibatest.Sequence(tc.fault)}
					id := ring(t, op)
					form := url.Values{"grant_type": {"urn:openid:params:grant-type:ciba"}, "auth_req_id": {id}}
					form.Set("client_id", cibatest.ClientID)
					form.Set("client_secret", cibatest.ClientSecret)
					next := time.Now().Add(tc.allowed)
					if early {
						next = next.Add(-1)
					}
					for range 2 {
						resp, err := op.Client().PostForm(op.IssuerURL()+"/token", form)
						if err != nil {
							t.Fatal(err)
						}
						resp.Body.Close()
						time.Sleep(time.Until(next))
					}
					want(t, op.Stats().Early == 1, early)
				})
			})
		}
	}
}

// TestEndsWithFaults: a final error is one whoever says it.
func TestEndsWithFaults(t *testing.T) {
	for code, ends := range map[string]int{"access_denied": 1, "invalid_client": 1, "authorization_pending": 0, "slow_down": 0} {
		op := &cibatest.Provider{Token: cibatest.Always(cibatest.OAuthError(400, code))}
		id := ring(t, op)
		poll(t, op, id)
		poll(t, op, id)
		want(t, op.Stats().AfterEnd, ends)
	}
}

func TestSecrets(t *testing.T) {
	op := &cibatest.Provider{ClientSecret: "a very long one", RefreshTokens: true, AutoApprove: 1}
	hc := op.Client()
	_, ack := post(t, hc, op.IssuerURL()+"/bc-authorize", url.Values{
		"scope": {"openid"}, "login_hint": {"anna@example.com"}, "binding_message": {"4K7-P2X"}, "client_secret": {"a very long one"},
	})
	want(t, ack["error"], "invalid_client") // post says the other secret
	for _, secret := range []string{"anna@example.com", "4K7-P2X"} {
		want(t, slices.Contains(op.Secrets(), secret), true)
	}
	op = &cibatest.Provider{RefreshTokens: true}
	id := ring(t, op)
	op.Approve(id)
	_, tokens := post(t, op.Client(), op.IssuerURL()+"/token", url.Values{"grant_type": {"urn:openid:params:grant-type:ciba"}, "auth_req_id": {id}})
	parts := strings.Split(tokens["id_token"].(string), ".")
	for _, secret := range append(parts, id, tokens["access_token"].(string), tokens["refresh_token"].(string), tokens["id_token"].(string)) {
		want(t, slices.Contains(op.Secrets(), secret), true)
	}
	want(t, slices.Contains(op.Secrets(), "openid"), false)
}
