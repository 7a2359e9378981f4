package ciba_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

func TestNotificationTokens(t *testing.T) {
	first, second := []byte(strings.Repeat("a", 32)), []byte(strings.Repeat("b", 48))
	old, mixed, alone := must(ciba.NewNotificationTokens(first)), must(ciba.NewNotificationTokens(second, first)), must(ciba.NewNotificationTokens(second))
	for _, id := range []string{"s1", "device/7.request-\x00\xff", strings.Repeat("x", ciba.MaxSignInID)} {
		token := must(old.Mint(id))
		if len(token) > ciba.MaxNotificationToken || len(token) < 45 || strings.ContainsAny(token, " \"\\") {
			t.Errorf("token %q", token)
		}
		for name, verifier := range map[string]*ciba.NotificationTokens{"same key": old, "key kept": mixed} {
			if got, ok := verifier.Verify(token); !ok || got != id {
				t.Errorf("%s: %q, %v", name, got, ok)
			}
		}
		if _, ok := alone.Verify(token); ok {
			t.Error("verified under another key")
		}
		if got, ok := alone.Verify(must(mixed.Mint(id))); !ok || got != id {
			t.Error("the first key does not mint")
		}
		for i := range token { // no bit of it may change
			changed := []byte(token)
			changed[i] ^= 1
			if _, ok := old.Verify(string(changed)); ok {
				t.Errorf("character %d does not matter", i)
			}
		}
	}
	// Replicas of different versions must agree on what a token is.
	mac := hmac.New(sha256.New, first)
	mac.Write([]byte("ciba client_notification_token 1\x00s1"))
	if token := must(old.Mint("s1")); token != "czE."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
		t.Errorf("token is %q", token)
	}
	for _, token := range []string{"\n", "\r", "=", " ", "."} {
		for _, i := range []int{0, 2, 3, 20, 46} {
			good := must(old.Mint("s1"))
			if _, ok := old.Verify(good[:i] + token + good[i:]); ok {
				t.Errorf("verified with %q at %d", token, i)
			}
		}
	}
	for _, id := range []string{"", strings.Repeat("x", ciba.MaxSignInID+1)} {
		_, err := old.Mint(id)
		wantField(t, err, "id")
	}
	_, err := ciba.NewNotificationTokens()
	wantField(t, err, "keys")
	_, err = ciba.NewNotificationTokens(first, first[:31])
	wantField(t, err, "keys")
}

// TestDeliveryFields: what each mode needs and refuses, before anything is sent.
func TestDeliveryFields(t *testing.T) {
	for name, tc := range map[string]struct {
		mode, offered string
		token, field  string
	}{
		"poll with a token":    {"poll", "poll", strings.Repeat("x", 43), "NotificationToken"},
		"ping without":         {"ping", "ping", "", "NotificationToken"},
		"push without":         {"push", "push", "", "NotificationToken"},
		"short token":          {"ping", "ping", strings.Repeat("x", 26), "NotificationToken"},
		"padding alone":        {"ping", "ping", strings.Repeat("=", 40), "NotificationToken"},
		"padding inside":       {"ping", "ping", strings.Repeat("x", 40) + "=x", "NotificationToken"},
		"long token":           {"ping", "ping", strings.Repeat("x", 1025), "NotificationToken"},
		"blank in token":       {"ping", "ping", strings.Repeat("x", 40) + " x", "NotificationToken"},
		"ping at a poll place": {"ping", "poll", strings.Repeat("x", 43), "Delivery"},
		"poll at a push place": {"poll", "push", "", "Delivery"},
	} {
		t.Run(name, func(t *testing.T) {
			op := &cibatest.Provider{Delivery: tc.offered}
			req := anna()
			req.NotificationToken = tc.token
			_, err := newClient(t, op, func(cfg *ciba.Config) { cfg.Delivery = ciba.DeliveryMode(tc.mode) }).RequestAuthentication(t.Context(), req)
			wantField(t, err, tc.field)
			if op.Stats().Backchannel != 0 {
				t.Error("something was sent")
			}
		})
	}
}

func TestNotificationConfig(t *testing.T) {
	poll, ping, push := &cibatest.Provider{}, &cibatest.Provider{Delivery: "ping"}, &cibatest.Provider{Delivery: "push"}
	full := func(op *cibatest.Provider) ciba.NotificationConfig {
		d := &desk{}
		return ciba.NotificationConfig{
			Client: newClient(t, op, func(cfg *ciba.Config) { cfg.Delivery = ciba.DeliveryMode(op.Delivery) }),
			Tokens: must(ciba.NewNotificationTokens(notificationKey)), SignIn: d.signIn, Pinged: d.pinged, Pushed: d.push,
		}
	}
	for field, cfg := range map[string]func() ciba.NotificationConfig{
		"Client": func() ciba.NotificationConfig { return full(poll) },
		"Tokens": func() ciba.NotificationConfig { c := full(ping); c.Tokens = nil; return c },
		"SignIn": func() ciba.NotificationConfig { c := full(ping); c.SignIn = nil; return c },
		"Pinged": func() ciba.NotificationConfig { c := full(ping); c.Pinged = nil; return c },
		"Pushed": func() ciba.NotificationConfig { c := full(push); c.Pushed = nil; return c },
	} {
		_, err := ciba.NewNotificationHandler(cfg())
		wantField(t, err, field)
	}
	_, err := ciba.NewNotificationHandler(ciba.NotificationConfig{})
	wantField(t, err, "Client")
}
