package cibatest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

func row(t *testing.T, name string) profile.Profile {
	t.Helper()
	p, err := profile.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const subject = `{"format":"iss_sub","iss":"https://op.test/","sub":"auth0|1"}`

// with returns an authentication request with other values; "" takes one away.
func with(pairs ...string) url.Values {
	form := url.Values{"scope": {"openid"}, "login_hint": {"anna"}, "binding_message": {"4K7-P2X"}}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			form.Del(pairs[i])
		} else {
			form.Set(pairs[i], pairs[i+1])
		}
	}
	return form
}

// TestLikeRefuses: what the imitated providers do not take, and what others do.
func TestLikeRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		row  string
		edit func(*profile.Profile)
		form url.Values
		want any // error code; nil if it is accepted
	}{
		"plain hint":         {"auth0", nil, with(), "invalid_request"},
		"subject":            {"auth0", nil, with("login_hint", subject), nil},
		"no slash":           {"auth0", nil, with("login_hint", strings.Replace(subject, "test/", "test", 1)), "invalid_request"},
		"other issuer":       {"auth0", nil, with("login_hint", strings.Replace(subject, "op.test", "other.test", 1)), "invalid_request"},
		"other format":       {"auth0", nil, with("login_hint", strings.Replace(subject, "iss_sub", "email", 1)), "invalid_request"},
		"kind of hint":       {"okta", nil, with("login_hint", "", "login_hint_token", "x"), "invalid_request"},
		"allowed kind":       {"okta", nil, with("login_hint", "", "id_token_hint", "x"), nil},
		"no binding message": {"auth0", nil, with("login_hint", subject, "binding_message", ""), "invalid_binding_message"},
		"none, not required": {"keycloak", nil, with("binding_message", ""), nil},
		"blank in it":        {"keycloak", nil, with("binding_message", "4K7 P2X"), "invalid_binding_message"},
		"long":               {"node-oidc-provider", nil, with("binding_message", strings.Repeat("x", 21)), "invalid_binding_message"},
		"FAPI without":       {"fapi-ciba", fapiWithSecret, with("binding_message", ""), "invalid_request"},
		"FAPI with details":  {"fapi-ciba", fapiWithSecret, with("binding_message", "", "authorization_details", `[{"type":"seat"}]`), nil},
		"user code":          {"keycloak", nil, with("user_code", "1"), "invalid_request"},
		"audience":           {"node-oidc-provider", nil, with("audience", "x"), "invalid_target"},
		"details":            {"generic", func(p *profile.Profile) { p.Parameters.Details = profile.No }, with("authorization_details", `[{"type":"seat"}]`), "invalid_authorization_details"},
		"four days":          {"auth0", nil, with("login_hint", subject, "requested_expiry", "345600"), "invalid_request"},
		"no time":            {"generic", nil, with("requested_expiry", "0"), "invalid_request"},
		"unknown":            {"generic", nil, with("login_hint", "nobody"), "unknown_user_id"},
		"unknown, Keycloak":  {"keycloak", nil, with("login_hint", "nobody"), "invalid_request"},
		"must be signed":     {"generic", func(p *profile.Profile) { p.Parameters.Signed = profile.Required }, with(), "invalid_request"},
		"secret":             {"fapi-ciba", nil, with(), "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			op := &cibatest.Provider{Like: row(t, tc.row), Subject: func(hint string) (string, bool) { return hint, hint != "nobody" }}
			if tc.edit != nil {
				tc.edit(&op.Like)
			}
			_, m := post(t, op.Client(), op.IssuerURL()+"/bc-authorize", tc.form)
			want(t, m["error"], tc.want)
			want(t, op.Stats().Rang == 1, tc.want == nil)
		})
	}
}

func fapiWithSecret(p *profile.Profile) { p.Client.Auth = nil }

// TestLikeExpires: how long requests live, as told and in fact, and what is said
// in the end.
func TestLikeExpires(t *testing.T) {
	for name, tc := range map[string]struct {
		row, asked  string
		told, lives int
		end         string
		mailed      int
	}{
		"generic":                {"generic", "60", 60, 60, "expired_token", 0},
		"generic, not asked":     {"generic", "", 120, 120, "expired_token", 0},
		"Auth0":                  {"auth0", "60", 60, 60, "access_denied", 0},
		"Auth0, not asked":       {"auth0", "", 300, 300, "access_denied", 0},
		"Auth0, by mail":         {"auth0", "301", 301, 301, "access_denied", 1},
		"Keycloak does not say":  {"keycloak", "60", 120, 60, "expired_token", 0},
		"Keycloak only shortens": {"keycloak", "180", 120, 120, "expired_token", 0},
		"PingFederate says":      {"pingfederate", "60", 60, 60, "expired_token", 0},
		"PingFederate shortens":  {"pingfederate", "180", 120, 120, "expired_token", 0},
		"Okta's own parameter":   {"okta", "60", 60, 60, "expired_token", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := &cibatest.Provider{Like: row(t, tc.row)}
				asked := []string{"requested_expiry", tc.asked}
				if tc.row == "okta" { // which does not heed the other
					asked = []string{"request_expiry", tc.asked, "requested_expiry", "7"}
				}
				id, m := opened(t, op, asked...)
				want(t, m["expires_in"], any(float64(tc.told)))
				time.Sleep(time.Duration(tc.lives)*time.Second - 1)
				want(t, poll(t, op, id), "authorization_pending")
				time.Sleep(5 * time.Second)
				want(t, poll(t, op, id), tc.end)
				want(t, op.Stats().Mailed, tc.mailed)
				want(t, op.Stats().Rang, 1-tc.mailed)
			})
		})
	}
}

// opened returns the auth_req_id of a request that a provider accepts, and what it
// was told beside it.
func opened(t *testing.T, op *cibatest.Provider, pairs ...string) (string, map[string]any) {
	t.Helper()
	form := with(pairs...)
	if op.Like.Hints.Format == profile.IssSub {
		form.Set("login_hint", subject)
	}
	status, m := post(t, op.Client(), op.IssuerURL()+"/bc-authorize", form)
	if status != http.StatusOK {
		t.Fatalf("bc-authorize: %d %v", status, m)
	}
	return m["auth_req_id"].(string), m
}

// TestLikePolls: whether a poll is held, and how an early one is answered.
func TestLikePolls(t *testing.T) {
	for name, tc := range map[string]struct {
		held              bool
		early, retryAfter string
		interval          any
	}{
		"generic":            {true, "slow_down", "", nil},
		"auth0":              {true, "slow_down", "10", 10.0},
		"keycloak":           {false, "slow_down", "", nil},
		"node-oidc-provider": {false, "authorization_pending", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op := &cibatest.Provider{Like: row(t, name), LongPoll: 20 * time.Second}
				id, _ := opened(t, op)
				begun := time.Now()
				poll(t, op, id)
				want(t, time.Since(begun) == 20*time.Second, tc.held)

				op = &cibatest.Provider{Like: row(t, name)}
				id, _ = opened(t, op)
				poll(t, op, id)
				resp, err := op.Client().PostForm(op.IssuerURL()+"/token", url.Values{
					"client_id": {cibatest.ClientID}, "client_secret": {cibatest.ClientSecret},
					"grant_type": {"urn:openid:params:grant-type:ciba"}, "auth_req_id": {id},
				})
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				var m map[string]any
				if err := json.NewDecoder(resp.Body).Decode(&m); err != nil {
					t.Fatal(err)
				}
				want(t, m["error"], any(tc.early))
				want(t, m["interval"], tc.interval)
				want(t, resp.Header.Get("Retry-After"), tc.retryAfter)
			})
		})
	}
}

// TestLikeMetadata: what of a profile is announced.
func TestLikeMetadata(t *testing.T) {
	for name, want := range map[string]string{
		"generic":      `["poll"] ["client_secret_basic","client_secret_post","private_key_jwt"] null`,
		"fapi-ciba":    `["poll","ping"] ["private_key_jwt"] null`,
		"pingfederate": `["poll","ping"] ["client_secret_basic","client_secret_post","private_key_jwt"] true`,
	} {
		op := &cibatest.Provider{Like: row(t, name)}
		resp, err := op.Client().Get(op.IssuerURL() + "/.well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		err = json.NewDecoder(resp.Body).Decode(&m)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, member := range []string{"backchannel_token_delivery_modes_supported", "token_endpoint_auth_methods_supported", "backchannel_user_code_parameter_supported"} {
			text, _ := json.Marshal(m[member])
			got = append(got, string(text))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s announces %s, want %s", name, got, want)
		}
	}
}

// TestLikeDetails: what was asked for in detail comes back with the tokens where
// the imitated provider understands it.
func TestLikeDetails(t *testing.T) {
	for name, want := range map[string]string{"node-oidc-provider": `[{"type":"seat"}]`, "keycloak": "null"} {
		op := &cibatest.Provider{Like: row(t, name)}
		id, _ := opened(t, op, "authorization_details", `[{"type":"seat"}]`)
		op.Approve(id)
		_, m := post(t, op.Client(), op.IssuerURL()+"/token", url.Values{"grant_type": {"urn:openid:params:grant-type:ciba"}, "auth_req_id": {id}})
		if got, _ := json.Marshal(m["authorization_details"]); string(got) != want || m["access_token"] == nil {
			t.Errorf("%s: granted %s of %v, want %s", name, got, m, want)
		}
	}
}

// TestLikeThrottles: Auth0 takes five requests a minute to one person.
func TestLikeThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := &cibatest.Provider{Like: row(t, "auth0")}
		ask := func(sub string) int {
			status, _ := post(t, op.Client(), op.IssuerURL()+"/bc-authorize", with("login_hint", strings.Replace(subject, "auth0|1", sub, 1)))
			return status
		}
		for range 5 {
			want(t, ask("anna"), http.StatusOK)
		}
		want(t, ask("anna"), http.StatusTooManyRequests)
		want(t, ask("bela"), http.StatusOK)
		want(t, op.Stats().Throttled, 1)
		time.Sleep(time.Minute + 1)
		want(t, ask("anna"), http.StatusOK)
	})
}
