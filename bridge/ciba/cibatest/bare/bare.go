// Package bare is what a CIBA client costs at the least: the two requests of a
// sign-in with net/http and encoding/json, for benchmarks to compare with.
package bare

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// A Loop signs somebody in at a [cibatest.Provider] whose people agree at once.
type Loop struct {
	HTTP   *http.Client
	Issuer string
	// Key verifies the ID token's signature, the one check that no client can do
	// without; nil makes no check at all.
	Key *ecdsa.PublicKey
}

// Key fetches the provider's only key.
func Key(ctx context.Context, hc *http.Client, issuer string) (*ecdsa.PublicKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/jwks", nil)
	if err != nil {
		return nil, err
	}
	resp, err := hc.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		return nil, err
	}
	if len(set.Keys) == 1 {
		if key, ok := set.Keys[0].Key.(*ecdsa.PublicKey); ok {
			return key, nil
		}
	}
	return nil, errors.New("bare: the provider has no single key on P-256")
}

// SignIn makes an authentication request and one token request.
func (l Loop) SignIn(ctx context.Context) error {
	var ack struct {
		AuthReqID string `json:"auth_req_id"`
		ExpiresIn int    `json:"expires_in"`
		Interval  int    `json:"interval"`
	}
	err := l.call(ctx, "/bc-authorize", url.Values{
		"scope":           {"openid"},
		"login_hint":      {"anna@example.com"},
		"binding_message": {"4K7-P2X"},
	}, &ack)
	if err != nil {
		return err
	}
	var tokens struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		IDToken     string `json:"id_token"`
	}
	err = l.call(ctx, "/token", url.Values{
		"grant_type":  {ciba.GrantType},
		"auth_req_id": {ack.AuthReqID},
	}, &tokens)
	if err != nil {
		return err
	}
	if tokens.IDToken == "" || l.Key != nil && !verify(l.Key, tokens.IDToken) {
		return errors.New("bare: no good ID token")
	}
	return nil
}

func verify(key *ecdsa.PublicKey, token string) bool {
	i := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if err != nil || len(signature) != 64 {
		return false
	}
	digest := sha256.Sum256([]byte(token[:max(i, 0)]))
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

func (l Loop) call(ctx context.Context, path string, form url.Values, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.Issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(cibatest.ClientID, cibatest.ClientSecret)
	resp, err := l.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("bare: %s: status %d", path, resp.StatusCode)
	}
	return json.Unmarshal(body, into)
}
