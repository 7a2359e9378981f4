package ciba_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/go-jose/go-jose/v4"
)

// A bareLoop makes the two requests of a sign-in with net/http and encoding/json
// alone.
type bareLoop struct {
	http   *http.Client
	issuer string
	// key verifies the ID token's signature, the one check that no client can do
	// without; nil makes no check at all.
	key *ecdsa.PublicKey
}

// providerKey fetches the only key of a provider.
func providerKey(b *testing.B, hc *http.Client, issuer string) *ecdsa.PublicKey {
	b.Helper()
	resp, err := hc.Get(issuer + "/jwks")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		b.Fatal(err)
	}
	return set.Keys[0].Key.(*ecdsa.PublicKey)
}

func (l bareLoop) signIn(b *testing.B) {
	b.Helper()
	var ack struct {
		AuthReqID string `json:"auth_req_id"`
		ExpiresIn int    `json:"expires_in"`
		Interval  int    `json:"interval"`
	}
	l.call(b, "/bc-authorize", url.Values{
		"scope":           {"openid"},
		"login_hint":      {"anna@example.com"},
		"binding_message": {"4K7-P2X"},
	}, &ack)
	var tokens struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		IDToken     string `json:"id_token"`
	}
	l.call(b, "/token", url.Values{
		"grant_type":  {ciba.GrantType},
		"auth_req_id": {ack.AuthReqID},
	}, &tokens)
	if tokens.IDToken == "" || l.key != nil && !bareVerify(l.key, tokens.IDToken) {
		b.Fatal("no good ID token")
	}
}

func bareVerify(key *ecdsa.PublicKey, token string) bool {
	i := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	digest := sha256.Sum256([]byte(token[:i]))
	return err == nil && ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

func (l bareLoop) call(b *testing.B, path string, form url.Values, into any) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, l.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(cibatest.ClientID, cibatest.ClientSecret)
	resp, err := l.http.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		b.Fatal(err)
	}
}
