package provider_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

func TestDiscovery(t *testing.T) {
	cfg := config(t)
	cfg.DeliveryModes = []provider.DeliveryMode{provider.Poll, provider.Ping}
	server := httptest.NewUnstartedServer(nil)
	cfg.Issuer = "http://" + server.Listener.Addr().String()
	op, err := provider.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = op
	server.Start()
	defer server.Close()

	resp, err := http.Get(op.Issuer() + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		Issuer    string   `json:"issuer"`
		CIBA      string   `json:"backchannel_authentication_endpoint"`
		Modes     []string `json:"backchannel_token_delivery_modes_supported"`
		Grants    []string `json:"grant_types_supported"`
		Auth      []string `json:"token_endpoint_auth_methods_supported"`
		AuthAlgs  []string `json:"token_endpoint_auth_signing_alg_values_supported"`
		IDAlgs    []string `json:"id_token_signing_alg_values_supported"`
		Scopes    []string `json:"scopes_supported"`
		ACRs      []string `json:"acr_values_supported"`
		Revoke    string   `json:"revocation_endpoint"`
		Requests  []string `json:"backchannel_authentication_request_signing_alg_values_supported"`
		UserCodes bool     `json:"backchannel_user_code_parameter_supported"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if doc.Issuer != cfg.Issuer || doc.CIBA != cfg.Issuer+"/bc-authorize" || doc.Revoke != cfg.Issuer+"/revoke" {
		t.Errorf("issuer or endpoints: %+v", doc)
	}
	for name, c := range map[string]struct{ got, want []string }{
		"modes":        {doc.Modes, []string{"poll", "ping"}},
		"grants":       {doc.Grants, []string{"refresh_token", "urn:openid:params:grant-type:ciba"}},
		"auth methods": {doc.Auth, []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}},
		"auth algs":    {doc.AuthAlgs, []string{"ES256", "PS256"}},
		"id algs":      {doc.IDAlgs, []string{"ES256"}},
		"acrs":         {doc.ACRs, []string{provider.DefaultACR}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: got %q, want %q", name, c.got, c.want)
		}
	}
	if !slices.Contains(doc.Scopes, "openid") || !slices.Contains(doc.Scopes, "seat") {
		t.Errorf("scopes: %q", doc.Scopes)
	}
	if doc.Requests != nil || doc.UserCodes {
		t.Errorf("signed requests %q or user codes %v are offered but not supported", doc.Requests, doc.UserCodes)
	}
}

// The whole sign-in, and what is in the tokens.
func TestSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, config(t))
		ack := r.post("/bc-authorize", "scope", "openid profile seat climate offline_access", "login_hint", "Anna@EXAMPLE.com",
			"binding_message", "K7-4Q", "requested_expiry", "90", "request_context", `{"purpose":"Rental car at the airport"}`)
		if ack.status != 200 || ack.num("expires_in") != 90 || ack.num("interval") != 5 {
			t.Fatalf("acknowledgement: %d %v", ack.status, ack.json)
		}
		if got := ack.header.Get("Cache-Control"); !strings.Contains(got, "no-store") {
			t.Errorf("Cache-Control of the acknowledgement: %q", got)
		}
		r.poll(ack.str("auth_req_id")).want(t, 400, "authorization_pending")

		shown := r.op.Pending(anna)[0]
		if shown.ClientName != "Carillon" || shown.BindingMessage != "K7-4Q" || shown.Purpose != "Rental car at the airport" ||
			!shown.ExpiresAt.Equal(time.Now().Add(90*time.Second)) {
			t.Errorf("the phone shows %+v", shown)
		}
		if want := []string{"profile", "seat", "climate", "offline_access"}; !slices.Equal(names(shown.Scopes), want) {
			t.Errorf("the phone shows scopes %q, want %q", names(shown.Scopes), want)
		}
		time.Sleep(5 * time.Second)
		approved := time.Now()
		if err := r.op.Approve(t.Context(), shown.ID, provider.Approval{Scopes: []string{"seat", "offline_access", "profile"}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		tokens := r.poll(ack.str("auth_req_id"))
		if tokens.status != 200 || tokens.str("token_type") != "Bearer" || tokens.num("expires_in") != 900 ||
			tokens.str("scope") != "openid profile seat offline_access" {
			t.Fatalf("tokens: %d %v", tokens.status, tokens.json)
		}
		checkIDToken(t, r, tokens.str("id_token"), approved)
		checkAccessToken(t, r, tokens.str("access_token"))
	})
}

func names(scopes []provider.Scope) []string {
	var out []string
	for _, s := range scopes {
		out = append(out, s.Name)
	}
	return out
}

func checkIDToken(t *testing.T, r *rig, raw string, approved time.Time) {
	t.Helper()
	typ, claims := r.open(raw)
	if typ != "JWT" {
		t.Errorf("ID token's type is %q", typ)
	}
	want := map[string]any{
		"iss": issuer, "aud": "bridge-1", "sub": anna, "acr": provider.DefaultACR, "name": "Anna",
		"auth_time": float64(approved.Unix()), "iat": float64(time.Now().Unix()), "exp": float64(time.Now().Unix() + 600),
	}
	for name, v := range want {
		if claims[name] != v {
			t.Errorf("ID token: %s is %v, want %v", name, claims[name], v)
		}
	}
	if amr, _ := claims["amr"].([]any); len(amr) != 1 || amr[0] != "user" {
		t.Errorf("ID token: amr is %v", claims["amr"])
	}
	if _, ok := claims["email"]; ok {
		t.Error("ID token tells the e-mail address without the scope")
	}
}

func checkAccessToken(t *testing.T, r *rig, raw string) {
	t.Helper()
	typ, claims := r.open(raw)
	if typ != "at+jwt" {
		t.Errorf("access token's type is %q", typ)
	}
	want := map[string]any{
		"iss": issuer, "aud": resource, "sub": anna, "client_id": "bridge-1", "scope": "openid profile seat offline_access",
		"iat": float64(time.Now().Unix()), "exp": float64(time.Now().Unix() + 900),
	}
	for name, v := range want {
		if claims[name] != v {
			t.Errorf("access token: %s is %v, want %v", name, claims[name], v)
		}
	}
	if jti, _ := claims["jti"].(string); jti == "" {
		t.Error("access token has no jti")
	}
	t.Logf("access token: %d bytes", len(raw))
}

func TestUserInfo(t *testing.T) {
	r := newRig(t, config(t))
	tokens := r.signIn("scope", "openid email phone", "login_hint", "anna@example.com")
	req, _ := http.NewRequest(http.MethodGet, issuer+"/userinfo", nil)
	req.Header.Set("Authorization", "Bearer "+tokens.str("access_token"))
	resp, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var claims map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&claims); err != nil {
		t.Fatal(err)
	}
	if claims["sub"] != anna || claims["email"] != "anna@example.com" || claims["phone_number"] != "+4915550000001" || claims["name"] != nil {
		t.Errorf("userinfo: %v", claims)
	}
}

// A refresh keeps the time of the sign-in, and a token that was rotated away
// kills the grant.
func TestRefreshRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, config(t))
		first := r.signIn()
		_, before := r.open(first.str("id_token"))
		time.Sleep(10 * time.Minute)
		second := r.refresh(first.str("refresh_token"))
		if second.status != 200 || second.str("refresh_token") == first.str("refresh_token") {
			t.Fatalf("refresh: %d %v", second.status, second.json)
		}
		_, after := r.open(second.str("id_token"))
		if after["auth_time"] != before["auth_time"] || after["iat"] == before["iat"] || after["acr"] != before["acr"] {
			t.Errorf("refreshed ID token: %v, the first: %v", after, before)
		}
		third := r.refresh(second.str("refresh_token"))
		if third.status != 200 {
			t.Fatalf("second refresh: %d %v", third.status, third.json)
		}
		r.refresh(first.str("refresh_token")).want(t, 400, "invalid_grant")
		r.refresh(third.str("refresh_token")).want(t, 400, "invalid_grant")
	})
}

func TestNoRefreshTokenWithoutConsent(t *testing.T) {
	r := newRig(t, config(t))
	if tokens := r.signIn("scope", "openid seat", "login_hint", "anna@example.com"); tokens.str("refresh_token") != "" {
		t.Error("a refresh token without offline_access")
	}
	id, req := r.ring()
	if err := r.op.Approve(t.Context(), req.ID, provider.Approval{Scopes: []string{"seat"}}); err != nil {
		t.Fatal(err)
	}
	if tokens := r.poll(id); tokens.status != 200 || tokens.str("refresh_token") != "" || tokens.str("scope") != "openid seat" {
		t.Errorf("the person took offline_access away: %v", tokens.json)
	}
}

func TestRevocation(t *testing.T) {
	for _, which := range []string{"refresh_token", "access_token"} {
		t.Run(which, func(t *testing.T) {
			r := newRig(t, config(t))
			tokens := r.signIn()
			if a := r.post("/revoke", "token", tokens.str(which)); a.status != 200 {
				t.Fatalf("revoke: %d %v", a.status, a.json)
			}
			r.refresh(tokens.str("refresh_token")).want(t, 400, "invalid_grant")
			if a := r.post("/revoke", "token", tokens.str(which)); a.status != 200 {
				t.Errorf("revoking again: %d %v", a.status, a.json)
			}
		})
	}
}

func TestMethodsOfRecognition(t *testing.T) {
	r := newRig(t, config(t))
	id, req := r.ring()
	if err := r.op.Approve(t.Context(), req.ID, provider.Approval{Methods: []string{"hwk", "fpt"}}); err != nil {
		t.Fatal(err)
	}
	_, claims := r.open(r.poll(id).str("id_token"))
	if amr, _ := claims["amr"].([]any); len(amr) != 2 || amr[0] != "hwk" || amr[1] != "fpt" {
		t.Errorf("amr is %v", claims["amr"])
	}
}

func TestACR(t *testing.T) {
	cfg := config(t)
	cfg.ACRs = []string{"low", "high"}
	r := newRig(t, cfg)
	for requested, want := range map[string]string{"": "low", "high": "high", "high low": "high"} {
		tokens := r.signIn("scope", "openid", "login_hint", "anna@example.com", "acr_values", requested)
		if _, claims := r.open(tokens.str("id_token")); claims["acr"] != want {
			t.Errorf("acr_values %q: acr is %v, want %q", requested, claims["acr"], want)
		}
	}
	r.post("/bc-authorize", "scope", "openid", "login_hint", "anna@example.com", "acr_values", "highest").want(t, 400, "invalid_request")
}

func TestResource(t *testing.T) {
	r := newRig(t, config(t))
	r.signIn("scope", "openid", "login_hint", "anna@example.com", "resource", resource)
	r.post("/bc-authorize", "scope", "openid", "login_hint", "anna@example.com", "resource", "https://other.example").want(t, 400, "invalid_target")
}

// Over a real socket nothing is different.
func TestOverLoopback(t *testing.T) {
	op, err := provider.New(config(t))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(op)
	defer server.Close()
	u, _ := url.Parse(server.URL)
	r := rigOf(t, op)
	r.http = &http.Client{Transport: redirectTo{u.Host}}
	r.signIn()
}

// redirectTo sends every request to one host over plain HTTP.
type redirectTo struct{ host string }

func (d redirectTo) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = "http", d.host
	return http.DefaultTransport.RoundTrip(out)
}
