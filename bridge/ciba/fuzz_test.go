package ciba_test

import (
	"bytes"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/carillon-iot/carillon/bridge/ciba"
)

// The laws of all parsers: what they accept, encoding/json reads the same way;
// what they refuse comes with zero values; limits hold; errors are printable and
// do not repeat the input at length.

func holdError(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); len(text) > 2500 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Fatalf("error of %d bytes is too long or unprintable: %q", len(text), text)
	}
}

// plain reads body with encoding/json.
func plain(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatalf("accepted, but encoding/json says %v", err)
	}
	return m
}

func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{
		`{"issuer":"https://op.test","token_endpoint":"https://op.test/t","backchannel_authentication_endpoint":"https://op.test/b","jwks_uri":"https://op.test/k","backchannel_token_delivery_modes_supported":["poll"],"mtls_endpoint_aliases":{"token_endpoint":"https://m.test/t"},"backchannel_user_code_parameter_supported":true}`,
		`{"issuer":"https://op.test","token_endpoint":"http://op.test/t","backchannel_authentication_endpoint":"https://op.test/b","jwks_uri":"https://op.test/k"}`,
		`{"issuer":null}`, `{"issuer":"a","issuer":"b"}`, `[]`, `null`, `{"scopes_supported":[1]}`, `{"mtls_endpoint_aliases":[]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := ciba.ParseMetadata(body)
		if err != nil {
			holdError(t, err)
			return
		}
		p := plain(t, body)
		for name, got := range map[string]string{"issuer": m.Issuer, "token_endpoint": m.TokenEndpoint, "backchannel_authentication_endpoint": m.BackchannelAuthenticationEndpoint, "jwks_uri": m.JWKSURI} {
			if p[name] != got || !strings.HasPrefix(strings.ToLower(got), "https://") || len(got) > 1024 {
				t.Errorf("%s is %q, encoding/json says %q", name, got, p[name])
			}
		}
		// What was discovered can be written down and used as static metadata.
		written, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ciba.ParseMetadata(written)
		if err != nil || again.Issuer != m.Issuer || !slices.Equal(again.BackchannelTokenDeliveryModes, m.BackchannelTokenDeliveryModes) {
			t.Errorf("does not survive being written and read: %v", err)
		}
	})
}

func FuzzKeys(f *testing.F) {
	for _, seed := range []string{
		`{"keys":[{"kty":"EC","crv":"P-256","kid":"1","use":"sig","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		`{"keys":[{"kty":"oct","k":"AA"}]}`, `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`,
		`{"keys":[null,{},[],"x"]}`, `{"keys":{}}`, `{}`, `{"keys":[{"kty":"EC","kty":"RSA"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := ciba.ParseKeys(body)
		if err != nil {
			holdError(t, err)
			return
		}
		all, _ := plain(t, body)["keys"].([]any)
		if len(keys) < 1 || len(keys) > len(all) || len(all) > 100 {
			t.Errorf("%d usable keys of %d", len(keys), len(all))
		}
		for _, k := range keys {
			if rsaKey, ok := k.Key.(*rsa.PublicKey); !k.IsPublic() || !k.Valid() || k.Use == "enc" || ok && rsaKey.N.BitLen() < 2048 {
				t.Errorf("%T with use %q is no key that makes ID tokens", k.Key, k.Use)
			}
		}
	})
}

func FuzzAcknowledgement(f *testing.F) {
	for _, seed := range []string{
		`{"auth_req_id":"1c266114-a1be-4252-8ad1-04986c5b9ac1","expires_in":120,"interval":2}`,
		`{"auth_req_id":"x","expires_in":1}`, `{"auth_req_id":"x","expires_in":604801}`, `{"auth_req_id":"x","expires_in":-1}`,
		`{"auth_req_id":"x","expires_in":1e2}`, `{"auth_req_id":"x","expires_in":60,"interval":0}`, `{"auth_req_id":"x","expires_in":60,"interval":null}`,
		`{"auth_req_id":"x","expires_in":60,"expires_in":61}`, `{"auth_req_id":"","expires_in":60}`, `{"expires_in":60}`, "\xff", `{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ack, err := ciba.ParseAcknowledgement(body)
		if err != nil {
			holdError(t, err)
			if ack != (ciba.Acknowledgement{}) {
				t.Error("refused, but not zero")
			}
			return
		}
		p := plain(t, body)
		if p["auth_req_id"] != ack.AuthReqID || p["expires_in"] != json.Number(strconv.Itoa(int(ack.ExpiresIn.Seconds()))) {
			t.Errorf("%+v differs from what encoding/json reads", p)
		}
		if ack.AuthReqID == "" || ack.ExpiresIn < time.Second || ack.ExpiresIn > ciba.MaxLifetime || ack.Interval < time.Second || ack.Interval > ciba.MaxInterval {
			t.Errorf("limits do not hold: %v", ack)
		}
	})
}

func FuzzTokens(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"a","token_type":"Bearer","expires_in":300,"refresh_token":"r","scope":"openid x","id_token":"a.b.c","authorization_details":[{"type":"t"}]}`,
		`{"access_token":"a","token_type":"bearer"}`, `{"access_token":"a","token_type":"DPoP"}`, `{"access_token":"","token_type":"Bearer"}`,
		`{"access_token":"a","token_type":"Bearer","expires_in":0}`, `{"access_token":"a","access_token":"b","token_type":"Bearer"}`,
		`{"access_token":"a","token_type":"Bearer","scope":"\u0000"}`, `{"access_token":"a","token_type":"Bearer","authorization_details":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		tokens, err := ciba.ParseTokens(body)
		if err != nil {
			holdError(t, err)
			if tokens != nil {
				t.Error("refused, but not nil")
			}
			return
		}
		p := plain(t, body)
		if tokens.AccessToken == "" || p["access_token"] != tokens.AccessToken || tokens.TokenType != "Bearer" || tokens.ExpiresIn < 0 {
			t.Error("accepted tokens are incomplete, or differ from what encoding/json reads")
		}
		if details := tokens.AuthorizationDetails; details != nil {
			if _, ok := p["authorization_details"].([]any); !ok || !json.Valid(details) {
				t.Error("authorization_details are no array")
			}
		}
	})
}

func FuzzError(f *testing.F) {
	for _, seed := range []string{
		`{"error":"slow_down","interval":10}`, `{"error":"authorization_pending","error_description":"soon"}`, `{"error":"x","interval":-1}`,
		`{"error":""}`, `{"error":"\u001b"}`, `{"error":"a","error_description":"\u202e\u0000"}`, `{"error":"a","error":"b"}`, `<html>`, ``,
	} {
		f.Add(400, "5", "n0nce", []byte(seed))
	}
	f.Add(503, "Fri, 31 Dec 9999 23:59:59 GMT", "\"", []byte(`<html>`))
	f.Add(302, "-1", "", []byte(`{}`))
	f.Fuzz(func(t *testing.T, status int, retryAfter, nonce string, body []byte) {
		if status == 200 || status < 100 || status > 999 {
			return
		}
		err := ciba.ParseError(status, retryAfter, nonce, body)
		if err == nil {
			t.Fatal("no error")
		}
		holdError(t, err)
		n := 0
		for _, class := range allClasses {
			if errors.Is(err, class) {
				n++
			}
		}
		if n == 0 {
			t.Errorf("error %q has no class", err)
		}
		var e *ciba.Error
		if errors.As(err, &e) && (e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour || e.Interval < 0 || e.Interval > ciba.MaxInterval || len(e.Description) > 256 || len(e.Code) > 64) {
			t.Errorf("limits do not hold: %+v", e)
		}
	})
}

// FuzzAuthorizationDetails: what is accepted can be asked for again.
func FuzzAuthorizationDetails(f *testing.F) {
	for _, seed := range []string{
		`[{"type":"seat","actions":["move"]},{"type":"climate"}]`, `[]`, `{}`, `null`, `[null]`, `[{"type":""}]`, `[{"type":"a","type":"b"}]`,
		`[{"type":"a"}] `, `[{"type":"\u0000"}]`, `[{"Type":"a"}]`, `[[]]`, ``, "[{\"type\":\"\xff\"}]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, array []byte) {
		details, err := ciba.ParseAuthorizationDetails(array)
		if err != nil {
			holdError(t, err)
			if details != nil {
				t.Error("refused, but not nil")
			}
			return
		}
		if len(details) > ciba.MaxDetails || len(array) > ciba.MaxAuthorizationDetails {
			t.Error("limits do not hold")
		}
		for _, d := range details {
			if p := plain(t, d.JSON); d.Type == "" || p["type"] != d.Type {
				t.Errorf("type is %q, encoding/json says %q", d.Type, p["type"])
			}
			one, err := json.Marshal([]json.RawMessage{d.JSON})
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ciba.ParseAuthorizationDetails(one); len(one) <= ciba.MaxAuthorizationDetails && (err != nil || len(again) != 1 || again[0].Type != d.Type) {
				t.Errorf("does not survive: %v", err)
			}
		}
	})
}
