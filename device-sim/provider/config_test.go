package provider_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

func TestConfigErrorsNameTheField(t *testing.T) {
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	large, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	client := func(c *provider.Config) *provider.Client { return &c.Clients[0] }
	for _, c := range []struct {
		word string
		edit func(*provider.Config)
	}{
		{"issuer", func(c *provider.Config) { c.Issuer = "" }},
		{"issuer", func(c *provider.Config) { c.Issuer = "http://op.example.com" }},
		{"issuer", func(c *provider.Config) { c.Issuer = "https://op.example.com/" }},
		{"issuer", func(c *provider.Config) { c.Issuer = "https://op.example.com?x" }},
		{"key", func(c *provider.Config) { c.Key = nil }},
		{"key", func(c *provider.Config) { c.Key = edwards }},
		{"key", func(c *provider.Config) { c.Key = large }},
		{"resource", func(c *provider.Config) { c.Resource = "settings" }},
		{"interval", func(c *provider.Config) { c.Interval = 1500 * time.Millisecond }},
		{"lifetime", func(c *provider.Config) { c.Lifetime = -time.Second }},
		{"max lifetime", func(c *provider.Config) { c.Lifetime = 10 * time.Minute }},
		{"access token lifetime", func(c *provider.Config) { c.AccessTokenLifetime = time.Millisecond }},
		{"binding message", func(c *provider.Config) { c.MaxBindingMessage = -1 }},
		{"people[3]", func(c *provider.Config) { c.People = append(c.People, provider.Person{Subject: anna, Email: "x@y"}) }},
		{"people[3]", func(c *provider.Config) {
			c.People = append(c.People, provider.Person{Subject: "x", Email: "ANNA@example.com"})
		}},
		{"people[3]", func(c *provider.Config) { c.People = append(c.People, provider.Person{Subject: "a b", Email: "x@y"}) }},
		{"people[3]", func(c *provider.Config) { c.People = append(c.People, provider.Person{Subject: "x", Email: "nobody"}) }},
		{"clients", func(c *provider.Config) { c.Clients = nil }},
		{"clients[1]", func(c *provider.Config) { c.Clients = append(c.Clients, c.Clients[0]) }},
		{"secret", func(c *provider.Config) { client(c).Secret = "short" }},
		{"colon", func(c *provider.Config) { client(c).ID = "https://bridge.example.com" }},
		{"scope", func(c *provider.Config) { client(c).Scopes = []string{"brakes"} }},
		{"auth method", func(c *provider.Config) { client(c).AuthMethod = "none" }},
		{"keys", func(c *provider.Config) { client(c).AuthMethod = provider.PrivateKeyJWT }},
		{"keys[0]", func(c *provider.Config) {
			client(c).AuthMethod, client(c).Keys = provider.PrivateKeyJWT, []jose.JSONWebKey{{Key: c.Key, KeyID: "k", Algorithm: "ES256"}}
		}},
		{"keys[0]", func(c *provider.Config) {
			client(c).AuthMethod, client(c).Keys = provider.PrivateKeyJWT, []jose.JSONWebKey{{Key: c.Key.Public(), Algorithm: "ES256"}}
		}},
		{"delivery mode", func(c *provider.Config) { client(c).Delivery = provider.Ping }},
		{"notification URL", func(c *provider.Config) {
			c.DeliveryModes = []provider.DeliveryMode{provider.Ping}
			client(c).Delivery, client(c).NotificationURL = provider.Ping, "http://bridge.example.com/"
		}},
	} {
		cfg := config(t)
		c.edit(&cfg)
		if _, err := provider.New(cfg); err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: got error %v", c.word, err)
		}
	}
}

func TestPeople(t *testing.T) {
	r := newRig(t, config(t))
	if got := r.op.People(); len(got) != 3 || got[0].Name != "Anna" {
		t.Errorf("people: %v", got)
	}
	for _, hint := range []string{anna, "anna@example.com", "ANNA@Example.Com"} {
		if p, ok := r.op.Person(hint); !ok || p.Subject != anna {
			t.Errorf("hint %q finds %v", hint, p)
		}
	}
	if _, ok := r.op.Person("U-5KQ2M7XD"); ok {
		t.Error("subjects are compared without regard to case")
	}
}
