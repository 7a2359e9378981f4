package inspect_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/ciba/inspect"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

// known is a provider that tells people whom it knows from others.
func known(edit func(*cibatest.Provider)) *cibatest.Provider {
	op := &cibatest.Provider{Subject: func(hint string) (string, bool) { return "anna-7", hint == "anna@example.com" }}
	if edit != nil {
		edit(op)
	}
	return op
}

func metadata(member string, value any) func(*cibatest.Provider) {
	return func(op *cibatest.Provider) {
		op.EditMetadata = func(m map[string]any) {
			if m[member] = value; value == nil {
				delete(m, member)
			}
		}
	}
}

func always(f cibatest.Fault) cibatest.Script { return cibatest.Always(f) }

// A misfit is a provider, or a client of it, with which something is wrong.
type misfit struct {
	name   string
	op     func(*cibatest.Provider)
	client func(*ciba.Config)
	edit   func(*inspect.Config)
	check  inspect.Check
	status inspect.Status
	found  string // a part of what is found
	advice string // a part of the advice
}

func misfits() []misfit {
	refused := func(status int, code string) func(*cibatest.Provider) {
		return func(op *cibatest.Provider) { op.Token = always(cibatest.OAuthError(status, code)) }
	}
	rung := func(status int, code string) func(*cibatest.Provider) {
		return func(op *cibatest.Provider) { op.Backchannel = always(cibatest.OAuthError(status, code)) }
	}
	return []misfit{
		{"clock behind", clock(-20 * time.Second), nil, nil, inspect.Clock, inspect.Warning, "20s behind", "NTP"},
		{"clock ahead", clock(5 * time.Minute), nil, nil, inspect.Clock, inspect.Failed, "5m0s ahead", "NTP"},
		{"no metadata", func(op *cibatest.Provider) { op.Discovery = always(cibatest.HTML(404)) }, nil, nil, inspect.Discovery, inspect.Failed, "404", "issuer"},
		{"other issuer", metadata("issuer", "https://op.test/"), nil, nil, inspect.Discovery, inspect.Failed, `want exactly "https://op.test"`, "slash"},
		{"no CIBA", metadata("backchannel_token_delivery_modes_supported", nil), nil, nil, inspect.Discovery, inspect.Failed, "has no CIBA", "grant type"},
		{"no keys", func(op *cibatest.Provider) { op.Keys = always(cibatest.JSON(200, `{"keys":[]}`)) }, nil, nil, inspect.Keys, inspect.Failed, "no usable signature key", "jwks_uri"},
		{"keys of another kind", metadata("id_token_signing_alg_values_supported", nil), func(c *ciba.Config) { c.IDTokenAlgs = []string{"PS256"} }, nil, inspect.Keys, inspect.Failed, "PS256", "id_token_signed_response_alg"},
		{"other algorithm", metadata("id_token_signing_alg_values_supported", []string{"RS512"}), func(c *ciba.Config) { c.IDTokenAlgs = []string{"ES256"} }, nil, inspect.Algorithms, inspect.Failed, "RS512", "id_token_signed_response_alg"},
		{"HMAC", metadata("id_token_signing_alg_values_supported", []string{"ES256", "HS256"}), nil, nil, inspect.Algorithms, inspect.Warning, "HS256", "asymmetric"},
		{"signed requests are not read", nil, sign, nil, inspect.Algorithms, inspect.Failed, "signed with ES256, and the provider reads none", "sign-requests"},
		{"other mode", metadata("backchannel_token_delivery_modes_supported", []string{"ping"}), nil, nil, inspect.Delivery, inspect.Failed, "the mode is poll, and the provider has ping", "delivery"},
		{"other authentication", metadata("token_endpoint_auth_methods_supported", []string{"private_key_jwt"}), nil, nil, inspect.Authentication, inspect.Warning, "client_secret_basic", "token_endpoint_auth_method"},
		{"no such scope", metadata("scopes_supported", []string{"openid"}), nil, func(c *inspect.Config) { c.Request.Scope = append(c.Request.Scope, "seat") }, inspect.Scope, inspect.Warning, "seat", "scopes"},
		{"wrong secret", nil, func(c *ciba.Config) { c.Auth = ciba.ClientSecretBasic("wrong") }, nil, inspect.Client, inspect.Failed, "does not accept the client", "secret"},
		{"not this grant type", refused(400, "unauthorized_client"), nil, nil, inspect.Client, inspect.Failed, "does not let it use CIBA", "grant type"},
		{"at a provider that is known", refused(400, "unsupported_grant_type"), func(c *ciba.Config) { c.Profile, _ = profile.Named("keycloak") }, nil, inspect.Client, inspect.Failed, "does not let it use CIBA", "OIDC CIBA Grant"},
		{"down", refused(503, "temporarily_unavailable"), nil, nil, inspect.Client, inspect.Failed, "503", "try again"},
		{"a page", func(op *cibatest.Provider) { op.Token = always(cibatest.HTML(200)) }, nil, nil, inspect.Client, inspect.Failed, "text/html", "proxies"},
		{"binding message", rung(400, "invalid_binding_message"), nil, nil, inspect.Request, inspect.Failed, "invalid_binding_message", "provider-profile"},
		{"user code", rung(400, "missing_user_code"), nil, nil, inspect.Request, inspect.Failed, "missing_user_code", "user code"},
		{"scope", rung(400, "invalid_scope"), nil, nil, inspect.Request, inspect.Failed, "invalid_scope", "scopes"},
		{"policy", rung(403, "access_denied"), nil, nil, inspect.Request, inspect.Failed, "access_denied", "policy"},
		{"wants signatures", rung(400, "invalid_request"), nil, nil, inspect.Request, inspect.Failed, "invalid_request", "sign-requests"},
		{"takes anybody", func(op *cibatest.Provider) { op.Subject = nil }, nil, nil, inspect.Request, inspect.Warning, "does not exist", "expire"},
		{"unknown person", nil, nil, func(c *inspect.Config) { c.Ring = "bela@example.com" }, inspect.SignIn, inspect.Failed, "unknown_user_id", "person exists"},
		{"no name", func(op *cibatest.Provider) { op.AutoApprove = time.Second }, nil, func(c *inspect.Config) { c.Ring = "anna@example.com" }, inspect.SignIn, inspect.Warning, "no name", "profile"},
	}
}

func sign(c *ciba.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c.RequestSigning = &ciba.RequestSigning{Key: ciba.PrivateKey{Signer: key, KeyID: "k1"}}
}

// clock makes the provider say another time.
func clock(off time.Duration) func(*cibatest.Provider) {
	return func(op *cibatest.Provider) {
		op.Discovery = func(int) cibatest.Fault {
			return func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
				w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
				truth(w, r)
			}
		}
	}
}

func run(t *testing.T, op *cibatest.Provider, client func(*ciba.Config), edit func(*inspect.Config)) []inspect.Finding {
	t.Helper()
	cfg := ciba.Config{
		Issuer: op.IssuerURL(), ClientID: cibatest.ClientID,
		Auth: ciba.ClientSecretBasic(cibatest.ClientSecret), HTTPClient: op.Client(),
	}
	if client != nil {
		client(&cfg)
	}
	c, err := ciba.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	in := inspect.Config{Client: c, HTTPClient: op.Client(), Request: ciba.AuthenticationRequest{Scope: []string{"openid"}}}
	if edit != nil {
		edit(&in)
	}
	return inspect.Run(t.Context(), in)
}

// TestMisfits: each is found by the check that is about it, with advice, and no
// other check fails for the same reason.
func TestMisfits(t *testing.T) {
	for _, m := range misfits() {
		t.Run(m.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				findings := run(t, known(m.op), m.client, m.edit)
				i := slices.IndexFunc(findings, func(f inspect.Finding) bool { return f.Check == m.check && f.Status == m.status })
				if i < 0 {
					t.Fatalf("no finding %s %s in %+v", m.check, m.status, findings)
				}
				if f := findings[i]; !strings.Contains(f.Found, m.found) || !strings.Contains(f.Advice, m.advice) {
					t.Errorf("found %q, advice %q, want %q and %q in them", f.Found, f.Advice, m.found, m.advice)
				}
				for _, f := range findings {
					if f.Status != inspect.OK && f.Status != inspect.Skipped && f.Advice == "" {
						t.Errorf("%s: no advice for %q", f.Check, f.Found)
					}
					if f.Bad() && f.Check != m.check && f.Check != inspect.Request {
						t.Errorf("%s fails too: %q", f.Check, f.Found)
					}
				}
			})
		})
	}
}

// TestAllIsWell: a provider without faults passes, no phone rings, and no token
// is asked for that anybody waits for.
func TestAllIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := known(nil)
		var told []inspect.Finding
		findings := run(t, op, nil, func(c *inspect.Config) { c.Report = func(f inspect.Finding) { told = append(told, f) } })
		for _, f := range findings {
			if f.Status != inspect.OK && f.Check != inspect.Connection && f.Check != inspect.Clock { // in memory: no TLS, no Date
				t.Errorf("%+v", f)
			}
		}
		if !slices.Equal(told, findings) || len(findings) != 10 {
			t.Errorf("told %d of %d findings", len(told), len(findings))
		}
		if s := op.Stats(); s.Rang != 0 || s.Backchannel != 1 || s.Token != 1 {
			t.Errorf("the provider saw %+v", s)
		}
	})
}

// TestRing: the person who is named is rung once, and their tokens are judged.
func TestRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := known(func(op *cibatest.Provider) {
			op.AutoApprove = 7 * time.Second
			op.EditIDToken = func(d *cibatest.Draft) { d.Claims["name"] = "Anna"; d.Claims["auth_time"] = time.Now().Unix() }
		})
		findings := run(t, op, nil, func(c *inspect.Config) { c.Ring, c.Request.Scope = "anna@example.com", []string{"openid", "seat"} })
		last := findings[len(findings)-1]
		if last.Check != inspect.SignIn || last.Status != inspect.OK || !strings.Contains(last.Found, "approved after 10s") {
			t.Errorf("the last finding is %+v", last)
		}
		if s := op.Stats(); s.Rang != 1 || s.Redeemed != 1 {
			t.Errorf("the provider saw %+v", s)
		}
	})
}

// TestNothingLeaks: findings are for tickets and mails.
func TestNothingLeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var secrets []string
		op := known(func(op *cibatest.Provider) {
			op.AutoApprove = time.Second
			op.OnRequest = func(r cibatest.Request) { secrets = append(secrets, r.AuthReqID) }
			op.EditTokens = func(m map[string]any) {
				secrets = append(secrets, m["access_token"].(string), m["id_token"].(string))
			}
		})
		findings := run(t, op, nil, func(c *inspect.Config) { c.Ring = "anna@example.com" })
		text, err := json.Marshal(findings)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, "anna@example.com", cibatest.ClientSecret+`"`)
		if len(secrets) < 5 {
			t.Fatal("no tokens were issued")
		}
		for _, s := range secrets {
			if strings.Contains(string(text), s) {
				t.Errorf("findings contain a secret: %s", text)
			}
		}
	})
}

// TestEveryTopicHasWords: there is generic advice for everything, and a console
// for each provider that has one.
func TestEveryTopicHasWords(t *testing.T) {
	for _, p := range profile.All() {
		if p.Name == "fapi-ciba" { // describes no product
			continue
		}
		if n := inspect.WordsFor(p.Name); n == 0 {
			t.Errorf("no words for the console of %s", p)
		}
	}
	if n, want := inspect.WordsFor(profile.Generic), inspect.Topics; n != want {
		t.Errorf("%d generic words, want %d", n, want)
	}
}
