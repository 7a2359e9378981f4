package ciba_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

// row returns a row of the table of profiles.
func row(t testing.TB, name string) profile.Profile {
	t.Helper()
	p, err := profile.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestProfileConfig: what the provider does not have is refused by its name.
func TestProfileConfig(t *testing.T) {
	key := ciba.PrivateKey{Signer: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), KeyID: "k"}
	unsigned := func(p *profile.Profile) { p.Parameters.Signed = profile.No }
	for name, tc := range map[string]struct {
		row    string
		change func(*profile.Profile)
		edit   func(*ciba.Config)
		field  string // "" if it is accepted
		says   string
	}{
		"poll":            {"auth0", nil, func(c *ciba.Config) {}, "", ""},
		"ping":            {"auth0", nil, func(c *ciba.Config) { c.Delivery = ciba.DeliveryPing }, "Delivery", `Auth0 has only ["poll"]`},
		"ping elsewhere":  {"keycloak", nil, func(c *ciba.Config) { c.Delivery = ciba.DeliveryPing }, "", ""},
		"push":            {"keycloak", nil, func(c *ciba.Config) { c.Delivery = ciba.DeliveryPush }, "Delivery", `Keycloak has only ["poll" "ping"]`},
		"certificate":     {"pingone", nil, func(c *ciba.Config) { c.Auth, c.HTTPClient = ciba.TLSClientAuth(), ciba.NewHTTPClient(nil) }, "Auth", "PingOne has only"},
		"FAPI and secret": {"keycloak", func(p *profile.Profile) { p.FAPI = true }, func(c *ciba.Config) {}, "Auth", "private_key_jwt"},
		"signed":          {"pingone", nil, func(c *ciba.Config) { c.RequestSigning = &ciba.RequestSigning{Key: key} }, "", ""},
		"signed, never":   {"pingone", unsigned, func(c *ciba.Config) { c.RequestSigning = &ciba.RequestSigning{Key: key} }, "RequestSigning", "PingOne"},
		"signed, always":  {"pingone", func(p *profile.Profile) { p.Parameters.Signed = profile.Required }, func(c *ciba.Config) {}, "RequestSigning", "PingOne"},
		"no message fits": {"generic", func(p *profile.Profile) { p.Binding.Alphabet = "äöü" }, func(c *ciba.Config) {}, "Profile", "binding message"},
		"a row of no name": {"generic", func(p *profile.Profile) {
			*p = profile.Profile{Client: profile.Client{Delivery: []string{profile.Ping}}}
		},
			func(c *ciba.Config) {}, "Delivery", "CIBA Core"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := ciba.Config{Issuer: "https://op.test", ClientID: "c", Auth: ciba.ClientSecretBasic("s"), Profile: row(t, tc.row)}
			if tc.change != nil {
				tc.change(&cfg.Profile)
			}
			tc.edit(&cfg)
			client, err := ciba.New(cfg)
			if tc.field == "" {
				if err != nil || client.Profile().Name != tc.row {
					t.Errorf("%v, profile %v", err, client.Profile())
				}
				return
			}
			wantField(t, err, tc.field)
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %q does not say %q", err, tc.says)
			}
		})
	}
}

// TestProfileRequest: what the provider would refuse is not sent.
func TestProfileRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		row    string
		change func(*profile.Profile)
		edit   func(*ciba.AuthenticationRequest)
		field  string // "" if it is sent
	}{
		"a token hint":         {"auth0", nil, func(r *ciba.AuthenticationRequest) { r.LoginHint, r.LoginHintToken = "", "x" }, "LoginHintToken"},
		"an ID token":          {"auth0", nil, func(r *ciba.AuthenticationRequest) { r.LoginHint, r.IDTokenHint = "", "x" }, "IDTokenHint"},
		"an ID token at Okta":  {"okta", nil, func(r *ciba.AuthenticationRequest) { r.LoginHint, r.IDTokenHint = "", "x" }, ""},
		"no login hint":        {"generic", func(p *profile.Profile) { p.Hints.Kinds = []string{profile.IDTokenHint} }, func(*ciba.AuthenticationRequest) {}, "LoginHint"},
		"no binding message":   {"auth0", nil, func(r *ciba.AuthenticationRequest) { r.BindingMessage = "" }, "BindingMessage"},
		"none, elsewhere":      {"keycloak", nil, func(r *ciba.AuthenticationRequest) { r.BindingMessage = "" }, ""},
		"a blank":              {"keycloak", nil, func(r *ciba.AuthenticationRequest) { r.BindingMessage = "4K7 P2X" }, "BindingMessage"},
		"a long one":           {"node-oidc-provider", nil, func(r *ciba.AuthenticationRequest) { r.BindingMessage = strings.Repeat("x", 21) }, "BindingMessage"},
		"a long one, anywhere": {"generic", nil, func(r *ciba.AuthenticationRequest) { r.BindingMessage = strings.Repeat("x", 21) }, ""},
		"four days":            {"auth0", nil, func(r *ciba.AuthenticationRequest) { r.RequestedExpiry = 96 * time.Hour }, "RequestedExpiry"},
		"three days, by mail":  {"auth0", nil, func(r *ciba.AuthenticationRequest) { r.RequestedExpiry = 72 * time.Hour }, ""},
		"a user code":          {"keycloak", nil, func(r *ciba.AuthenticationRequest) { r.UserCode = "1" }, "UserCode"},
		"an audience":          {"auth0", nil, func(r *ciba.AuthenticationRequest) { r.Audience = "https://api.example.com" }, ""},
		"an audience at node":  {"node-oidc-provider", nil, func(r *ciba.AuthenticationRequest) { r.Audience = "https://api.example.com" }, "Audience"},
		"a resource": {"generic", func(p *profile.Profile) { p.Parameters.Target = []string{profile.Audience} },
			func(r *ciba.AuthenticationRequest) { r.Resource = []string{"https://api.example.com"} }, "Resource"},
		"details": {"generic", func(p *profile.Profile) { p.Parameters.Details = profile.No },
			func(r *ciba.AuthenticationRequest) {
				r.AuthorizationDetails = []json.RawMessage{json.RawMessage(`{"type":"seat"}`)}
			}, "AuthorizationDetails"},
	} {
		t.Run(name, func(t *testing.T) {
			p := row(t, tc.row)
			if tc.change != nil {
				tc.change(&p)
			}
			op := &cibatest.Provider{}
			client := newClient(t, op, func(cfg *ciba.Config) { cfg.Profile = p })
			req := anna()
			tc.edit(&req)
			_, err := client.RequestAuthentication(t.Context(), req)
			if tc.field == "" {
				if err != nil || op.Stats().Rang != 1 {
					t.Errorf("%v, provider saw %+v", err, op.Stats())
				}
				return
			}
			wantField(t, err, tc.field)
			if s := op.Stats(); s != (cibatest.Stats{}) {
				t.Errorf("the provider saw %+v, want nothing", s)
			}
			if req.BindingMessage != "" && strings.Contains(err.Error(), req.BindingMessage) {
				t.Errorf("error %q quotes the binding message", err)
			}
		})
	}
}

// TestExpiryParameter: Okta has a name of its own for requested_expiry.
func TestExpiryParameter(t *testing.T) {
	for name, parameter := range map[string]string{"okta": "request_expiry", "generic": "requested_expiry"} {
		op := &cibatest.Provider{}
		var got cibatest.Request
		op.OnRequest = func(r cibatest.Request) { got = r }
		req := anna()
		req.RequestedExpiry = 90 * time.Second
		ring(t, newClient(t, op, func(cfg *ciba.Config) { cfg.Profile = row(t, name) }), req)
		if got.Params.Get(parameter) != "90" || got.Params.Has("requested_expiry") != (name == "generic") {
			t.Errorf("%s: sent %v", name, got.Params)
		}
	}
}

// TestUnknownUser: Keycloak has words of its own for a person whom it does not
// know. Others who use them mean something else.
func TestUnknownUser(t *testing.T) {
	for name, tc := range map[string]struct {
		row, description string
		status           int
		class            error
	}{
		"Keycloak":            {"keycloak", "invalid user", 400, ciba.ErrUnknownUser},
		"in other letters":    {"keycloak", "Invalid User", 400, ciba.ErrUnknownUser},
		"another description": {"keycloak", "Invalid scopes: seat", 400, ciba.ErrInvalidRequest},
		"another provider":    {"generic", "invalid user", 400, ciba.ErrInvalidRequest},
		"a server that fails": {"keycloak", "invalid user", 503, ciba.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			body := string(must(json.Marshal(map[string]string{"error": "invalid_request", "error_description": tc.description})))
			op := &cibatest.Provider{Backchannel: cibatest.Always(cibatest.JSON(tc.status, body))}
			client := newClient(t, op, func(cfg *ciba.Config) { cfg.Profile = row(t, tc.row) })
			_, err := client.RequestAuthentication(t.Context(), anna())
			wantClasses(t, err, tc.class)
		})
	}
}

// TestDeniedOrExpired: Auth0 says access_denied of both. RequestToken leaves it
// open, Wait decides by the time.
func TestDeniedOrExpired(t *testing.T) {
	for name, tc := range map[string]struct {
		row   string
		after time.Duration // of the request, which lives for a minute
		class error
	}{
		"denied":             {"auth0", 20 * time.Second, ciba.ErrDenied},
		"expired":            {"auth0", 57 * time.Second, ciba.ErrExpired},
		"denied late":        {"generic", 57 * time.Second, ciba.ErrDenied},
		"denied, of no name": {"", 20 * time.Second, ciba.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				op := &cibatest.Provider{}
				op.Token = func(int) cibatest.Fault {
					if time.Since(start) < tc.after {
						return nil
					}
					return cibatest.OAuthError(400, "access_denied")
				}
				client := newClient(t, op, func(cfg *ciba.Config) { cfg.Profile = row(t, tc.row) })
				req := anna()
				req.RequestedExpiry = time.Minute
				ack := ring(t, client, req)
				_, err := client.Wait(context.Background(), ack, ciba.Expect{})
				wantClasses(t, err, tc.class)
				_, err = client.RequestToken(context.Background(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
				if tc.row == "auth0" {
					wantClasses(t, err, ciba.ErrDenied, ciba.ErrExpired)
				} else {
					wantClasses(t, err, ciba.ErrDenied)
				}
			})
		})
	}
}
