package ciba_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

func decode64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantField checks that err is a FieldError about field.
func wantField(t *testing.T, err error, field string) {
	t.Helper()
	var e *ciba.FieldError
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want a *FieldError about %s", err, field)
	}
	if e.Field != field {
		t.Errorf("error %q is about %s, want %s", err, e.Field, field)
	}
}

func TestRequestForm(t *testing.T) {
	var got url.Values
	op := &cibatest.Provider{
		OnRequest:    func(r cibatest.Request) { got = r.Params },
		EditMetadata: edits("backchannel_user_code_parameter_supported", true),
	}
	_, err := newClient(t, op).RequestAuthentication(t.Context(), ciba.AuthenticationRequest{
		Scope:           []string{"openid", "seat:write"},
		LoginHint:       `{"format":"iss_sub","iss":"https://op.test/","sub":"a|b&c=ü"}`,
		BindingMessage:  "4K7-P2X",
		RequestedExpiry: 90 * time.Second,
		ACRValues:       []string{"urn:a", "urn:b"},
		UserCode:        "1234",
		AuthorizationDetails: []json.RawMessage{
			json.RawMessage(`{ "type": "seat", "n": 1 }`), json.RawMessage(`{"type":"climate"}`),
		},
		Resource:       []string{"urn:x", "urn:y"},
		Audience:       "https://api.test",
		RequestContext: json.RawMessage(`{"place": {"lat": 1.0}}`),
		Extra:          url.Values{"claims": {`{"id_token":{"acr":null}}`}, "tag": {"a", "b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"scope":                 {"openid seat:write"},
		"login_hint":            {`{"format":"iss_sub","iss":"https://op.test/","sub":"a|b&c=ü"}`},
		"binding_message":       {"4K7-P2X"},
		"requested_expiry":      {"90"},
		"acr_values":            {"urn:a urn:b"},
		"user_code":             {"1234"},
		"audience":              {"https://api.test"},
		"resource":              {"urn:x", "urn:y"},
		"authorization_details": {`[{"type":"seat","n":1},{"type":"climate"}]`},
		"request_context":       {`{"place":{"lat":1.0}}`},
		"claims":                {`{"id_token":{"acr":null}}`},
		"tag":                   {"a", "b"},
	}
	if got.Encode() != want.Encode() {
		t.Errorf("sent %v, want %v", got, want)
	}
}

func raw(objects ...string) []json.RawMessage {
	list := make([]json.RawMessage, len(objects))
	for i, o := range objects {
		list[i] = json.RawMessage(o)
	}
	return list
}

func TestRequestErrors(t *testing.T) {
	long := strings.Repeat("x", 70<<10)
	for _, tc := range []struct {
		name  string
		edit  func(*ciba.AuthenticationRequest)
		field string
		says  string
	}{
		{"no scope", func(r *ciba.AuthenticationRequest) { r.Scope = nil }, "Scope", "openid"},
		{"no openid", func(r *ciba.AuthenticationRequest) { r.Scope = []string{"profile"} }, "Scope", "openid"},
		{"scope with a blank", func(r *ciba.AuthenticationRequest) { r.Scope = []string{"openid profile"} }, "Scope", "element 0"},
		{"empty scope", func(r *ciba.AuthenticationRequest) { r.Scope = []string{"openid", ""} }, "Scope", "element 1"},
		{"long scope", func(r *ciba.AuthenticationRequest) { r.Scope = []string{"openid", long} }, "Scope", "at most 4096"},
		{"no hint", func(r *ciba.AuthenticationRequest) { r.LoginHint = "" }, "LoginHint", "exactly one"},
		{"two hints", func(r *ciba.AuthenticationRequest) { r.IDTokenHint = "e30.e30.e30" }, "LoginHint", "2 of"},
		{"three hints", func(r *ciba.AuthenticationRequest) { r.IDTokenHint, r.LoginHintToken = "x", "y" }, "LoginHint", "3 of"},
		{"long hint", func(r *ciba.AuthenticationRequest) { r.LoginHint = long }, "LoginHint", "at most 2048"},
		{"long hint token", func(r *ciba.AuthenticationRequest) { r.LoginHintToken = long }, "LoginHintToken", "at most 16384"},
		{"hint with a line break", func(r *ciba.AuthenticationRequest) { r.LoginHint = "anna\n@example.com" }, "LoginHint", "unprintable"},
		{"hint not UTF-8", func(r *ciba.AuthenticationRequest) { r.LoginHint = "anna\xff" }, "LoginHint", "unprintable"},
		{"long message", func(r *ciba.AuthenticationRequest) { r.BindingMessage = long }, "BindingMessage", "at most 256"},
		{"message with a bell", func(r *ciba.AuthenticationRequest) { r.BindingMessage = "\a" }, "BindingMessage", "unprintable"},
		{"negative expiry", func(r *ciba.AuthenticationRequest) { r.RequestedExpiry = -time.Second }, "RequestedExpiry", "-1s"},
		{"fractional expiry", func(r *ciba.AuthenticationRequest) { r.RequestedExpiry = 1500 * time.Millisecond }, "RequestedExpiry", "whole seconds"},
		{"huge expiry", func(r *ciba.AuthenticationRequest) { r.RequestedExpiry = 1000 * time.Hour }, "RequestedExpiry", "168h"},
		{"acr with a blank", func(r *ciba.AuthenticationRequest) { r.ACRValues = []string{"a b"} }, "ACRValues", "element 0"},
		{"user code", func(r *ciba.AuthenticationRequest) { r.UserCode = "1234" }, "UserCode", "does not support"},
		{"extra client", func(r *ciba.AuthenticationRequest) { r.Extra = url.Values{"client_id": {"x"}} }, "Extra", "client_id"},
		{"extra hint", func(r *ciba.AuthenticationRequest) { r.Extra = url.Values{"login_hint": nil} }, "Extra", "login_hint"},
		{"extra request", func(r *ciba.AuthenticationRequest) { r.Extra = url.Values{"request": {"x"}} }, "Extra", "request"},
		{"extra resource", func(r *ciba.AuthenticationRequest) { r.Extra = url.Values{"resource": {"urn:x"}} }, "Extra", "resource"},
		{"extra issuer", func(r *ciba.AuthenticationRequest) { r.Extra = url.Values{"iss": {"x"}} }, "Extra", "iss"},
		{"detail not an object", func(r *ciba.AuthenticationRequest) { r.AuthorizationDetails = raw(`{"type":"a"}`, `[]`) }, "AuthorizationDetails", "element 1"},
		{"detail empty", func(r *ciba.AuthenticationRequest) { r.AuthorizationDetails = raw("") }, "AuthorizationDetails", "element 0"},
		{"detail twice", func(r *ciba.AuthenticationRequest) { r.AuthorizationDetails = raw(`{"type":"a"},{"type":"b"}`) }, "AuthorizationDetails", "element 0"},
		{"detail with two types", func(r *ciba.AuthenticationRequest) { r.AuthorizationDetails = raw(`{"type":"a","type":"b"}`) }, "AuthorizationDetails", "unique"},
		{"detail without type", func(r *ciba.AuthenticationRequest) { r.AuthorizationDetails = raw(`{"Type":"a"}`) }, "AuthorizationDetails", "no type"},
		{"detail with type null", func(r *ciba.AuthenticationRequest) { r.AuthorizationDetails = raw(`{"type":null}`) }, "AuthorizationDetails", "no type"},
		{"detail with a number as type", func(r *ciba.AuthenticationRequest) { r.AuthorizationDetails = raw(`{"type":7}`) }, "AuthorizationDetails", "no type"},
		{"too many details", func(r *ciba.AuthenticationRequest) { r.AuthorizationDetails = make([]json.RawMessage, 33) }, "AuthorizationDetails", "at most 32"},
		{"long detail", func(r *ciba.AuthenticationRequest) { r.AuthorizationDetails = raw(`{"type":"a","x":"` + long + `"}`) }, "AuthorizationDetails", "at most 16384"},
		{"unknown type", func(r *ciba.AuthenticationRequest) { r.AuthorizationDetails = raw(`{"type":"moon"}`) }, "AuthorizationDetails", `"moon"`},
		{"relative resource", func(r *ciba.AuthenticationRequest) { r.Resource = []string{"https://a.test", "/api"} }, "Resource", "element 1"},
		{"resource with a fragment", func(r *ciba.AuthenticationRequest) { r.Resource = []string{"https://a.test/#"} }, "Resource", "fragment"},
		{"long resource", func(r *ciba.AuthenticationRequest) { r.Resource = []string{"urn:" + long} }, "Resource", "1024"},
		{"too many resources", func(r *ciba.AuthenticationRequest) { r.Resource = make([]string, 33) }, "Resource", "at most 32"},
		{"audience with a line break", func(r *ciba.AuthenticationRequest) { r.Audience = "a\nb" }, "Audience", "unprintable"},
		{"context not an object", func(r *ciba.AuthenticationRequest) { r.RequestContext = []byte(`"x"`) }, "RequestContext", "JSON object"},
		{"long context", func(r *ciba.AuthenticationRequest) { r.RequestContext = []byte(`{"x":"` + long + `"}`) }, "RequestContext", "at most 8192"},
		{"extra too long", func(r *ciba.AuthenticationRequest) { r.Extra = url.Values{"x": {long}} }, "Extra", "at most 32768"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			op := &cibatest.Provider{EditMetadata: edits("authorization_details_types_supported", []string{"a", "seat"})}
			req := anna()
			tc.edit(&req)
			_, err := newClient(t, op).RequestAuthentication(t.Context(), req)
			wantField(t, err, tc.field)
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %q does not say %q", err, tc.says)
			}
			if strings.Contains(err.Error(), "anna") || op.Stats().Backchannel != 0 {
				t.Error("the hint got out")
			}
		})
	}
}

func TestConfigErrors(t *testing.T) {
	good := ciba.Metadata{Issuer: "https://op.test", TokenEndpoint: "https://op.test/t", BackchannelAuthenticationEndpoint: "https://op.test/b", JWKSURI: "https://op.test/k"}
	for _, tc := range []struct {
		name  string
		edit  func(*ciba.Config)
		field string
	}{
		{"no issuer", func(c *ciba.Config) { c.Issuer = "" }, "Issuer"},
		{"relative issuer", func(c *ciba.Config) { c.Issuer = "op.test" }, "Issuer"},
		{"http issuer", func(c *ciba.Config) { c.Issuer = "http://op.test" }, "Issuer"},
		{"http issuer not on loopback", func(c *ciba.Config) { c.Issuer, c.InsecureAllowHTTP = "http://10.0.0.1", true }, "Issuer"},
		{"http issuer named like loopback", func(c *ciba.Config) { c.Issuer, c.InsecureAllowHTTP = "http://localhost.evil.test", true }, "Issuer"},
		{"issuer with a query", func(c *ciba.Config) { c.Issuer = "https://op.test/?a" }, "Issuer"},
		{"issuer with a fragment", func(c *ciba.Config) { c.Issuer = "https://op.test/#" }, "Issuer"},
		{"issuer with a user", func(c *ciba.Config) { c.Issuer = "https://u@op.test" }, "Issuer"},
		{"other metadata", func(c *ciba.Config) { m := good; m.Issuer = "https://b.test"; c.Metadata = &m }, "Metadata"},
		{"metadata without endpoint", func(c *ciba.Config) { m := good; m.TokenEndpoint = ""; c.Metadata = &m }, "Metadata"},
		{"metadata with http", func(c *ciba.Config) { m := good; m.JWKSURI = "http://op.test/k"; c.Metadata = &m }, "Metadata"},
		{"no client", func(c *ciba.Config) { c.ClientID = "" }, "ClientID"},
		{"client with a line break", func(c *ciba.Config) { c.ClientID = "a\r\nb" }, "ClientID"},
		{"no auth", func(c *ciba.Config) { c.Auth = nil }, "Auth"},
		{"empty secret", func(c *ciba.Config) { c.Auth = ciba.ClientSecretBasic("") }, "Auth"},
		{"short timeout", func(c *ciba.Config) { c.HTTPClient = &http.Client{Timeout: 34 * time.Second} }, "HTTPClient"},
		{"alg none", func(c *ciba.Config) { c.IDTokenAlgs = []string{"ES256", "none"} }, "IDTokenAlgs"},
		{"alg HS256", func(c *ciba.Config) { c.IDTokenAlgs = []string{"HS256"} }, "IDTokenAlgs"},
		{"leeway", func(c *ciba.Config) { c.Leeway = time.Hour }, "Leeway"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := ciba.Config{Issuer: "https://op.test", ClientID: "c", Auth: ciba.ClientSecretBasic("s")}
			tc.edit(&cfg)
			_, err := ciba.New(cfg)
			wantField(t, err, tc.field)
		})
	}
	for _, issuer := range []string{"http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:9000/op"} {
		if _, err := ciba.New(ciba.Config{Issuer: issuer, ClientID: "c", Auth: ciba.ClientSecretPost("s"), InsecureAllowHTTP: true}); err != nil {
			t.Errorf("%s with InsecureAllowHTTP: %v", issuer, err)
		}
	}
}

func TestTokenRequestErrors(t *testing.T) {
	for _, id := range []string{"", "a b", "a\n", strings.Repeat("x", 8193)} {
		_, err := newClient(t, &cibatest.Provider{}).RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: id})
		wantField(t, err, "AuthReqID")
	}
}

// TestNothingPrintsSecrets prints everything that holds one, in every way.
func TestNothingPrintsSecrets(t *testing.T) {
	const secret = "hunter2"
	client := newClient(t, &cibatest.Provider{}, func(cfg *ciba.Config) { cfg.Auth = ciba.ClientSecretBasic(secret) })
	id := &ciba.IDToken{Raw: secret, Subject: secret, Claims: []byte(secret)}
	values := []any{
		client, ciba.ClientSecretBasic(secret), ciba.ClientSecretPost(secret),
		ciba.Config{Auth: ciba.ClientSecretPost(secret)},
		ciba.AuthenticationRequest{LoginHint: secret, UserCode: secret, Extra: url.Values{"x": {secret}}},
		ciba.Acknowledgement{AuthReqID: secret},
		ciba.TokenRequest{AuthReqID: secret, Expect: ciba.Expect{AccessToken: secret}, DPoPProof: secret},
		ciba.Expect{Subject: secret, RefreshToken: secret},
		ciba.RefreshRequest{RefreshToken: secret, DPoPProof: secret},
		ciba.SignIn{AuthReqID: secret, Expect: ciba.Expect{Subject: secret}},
		must(ciba.NewNotificationTokens([]byte(strings.Repeat(secret, 5)))),
		ciba.RequestSigning{Key: ciba.PrivateKey{KeyID: secret}},
		ciba.Tokens{AccessToken: secret, RefreshToken: secret, IDToken: id}, id, *id,
	}
	var log strings.Builder
	text, js := slog.New(slog.NewTextHandler(&log, nil)), slog.New(slog.NewJSONHandler(&log, nil))
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			fmt.Fprintf(&log, verb+" "+verb+" "+verb+"\n", v, []any{v}, struct{ V any }{v})
		}
		text.Info("m", "v", v)
		js.Info("m", "v", v)
	}
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), base64.StdEncoding.EncodeToString([]byte(secret))} {
		if i := strings.Index(log.String(), form); i >= 0 {
			t.Errorf("printed: %s", log.String()[max(0, i-200):i+20])
		}
	}
}
