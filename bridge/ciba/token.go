package ciba

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// TokenTimeout is the longest that RequestToken takes: a little for metadata and
// keys, if they are old, a long poll, and a little for keys again. Who claims a
// sign-in before asking, so that nobody else asks at the same time, claims it for
// at least as long.
const (
	TokenTimeout = prepareTimeout + tokenTimeout + verifyTimeout

	prepareTimeout = 5 * time.Second
	verifyTimeout  = 5 * time.Second
)

// GrantType is the grant type of a token request (CIBA Core section 10.1).
const GrantType = "urn:openid:params:grant-type:ciba"

// A TokenRequest asks whether a person has decided (CIBA Core section 10.1).
type TokenRequest struct {
	// AuthReqID is Acknowledgement.AuthReqID.
	AuthReqID string
	// Expect is what the ID token must say. RequestToken adds the AuthReqID and
	// the tokens of the answer.
	Expect Expect
	// DPoPProof is sent as the DPoP header (RFC 9449); "" for none.
	DPoPProof string
}

// Tokens are the provider's answer once the person has agreed. The ID token is
// verified, the others are opaque. Printing the value shows none of them.
type Tokens struct {
	// AccessToken is never empty.
	AccessToken string
	// TokenType is "Bearer" or "DPoP", however the provider spells it; other
	// types are refused.
	TokenType string
	// ExpiresIn is the life of the access token from the moment of the answer; 0
	// if the provider does not say.
	ExpiresIn time.Duration
	// RefreshToken is "" if there is none.
	RefreshToken string
	// Scope is what was granted; nil if the provider does not say, which means
	// the scope that was requested (RFC 6749 section 5.1).
	Scope []string
	// AuthorizationDetails is the JSON array that was granted (RFC 9396); nil if
	// there is none. ParseAuthorizationDetails reads it, and has already found it
	// well-formed.
	AuthorizationDetails json.RawMessage
	// IDToken says who agreed. It is nil only after a Refresh without one.
	IDToken *IDToken
	// DPoPNonce is the nonce for the next DPoP proof; "" if there is none.
	DPoPNonce string
}

// maxToken bounds each token, in bytes; maxTokenLife bounds expires_in.
const (
	maxToken     = 32 << 10
	maxTokenLife = 10 * 366 * 24 * time.Hour
)

// RequestToken asks once whether the person has decided, and returns the tokens
// if they agreed. It may take a [LongPoll], and never more than [TokenTimeout].
// Give the error to [Poll.After], which says what it means.
//
// Before it asks, it makes sure that the provider's keys are at hand: an
// auth_req_id is redeemed only once, so tokens that could not be verified would
// be lost.
func (c *Client) RequestToken(ctx context.Context, req TokenRequest) (*Tokens, error) {
	if !isVisible(req.AuthReqID) || len(req.AuthReqID) > MaxAuthReqID {
		return nil, fieldErrorf("AuthReqID", "is empty, has more than %d bytes, or other characters than visible ASCII", MaxAuthReqID)
	}
	if err := c.mayAsk(); err != nil {
		return nil, err
	}
	m, err := c.prepare(ctx)
	if err != nil {
		return nil, err
	}
	x := exchange{
		endpoint: endpointToken,
		url:      m.endpoint(c.mutualTLS, m.TokenEndpoint, func(e *EndpointAliases) string { return e.TokenEndpoint }),
		form:     url.Values{"grant_type": {GrantType}, "auth_req_id": {req.AuthReqID}},
		header:   proofHeader(req.DPoPProof),
		timeout:  tokenTimeout,
	}
	o, a, err := c.post(ctx, x)
	if err != nil {
		return nil, c.understand(err)
	}
	tokens, err := parseTokens(o, req.DPoPProof != "")
	if err != nil {
		return nil, a.protocolErrorf("%v", err)
	}
	tokens.DPoPNonce = parseNonce(a.header.Get("DPoP-Nonce"))
	raw, err := o.text("id_token", maxToken)
	if err != nil {
		return nil, a.protocolErrorf("%v", err)
	}
	expect := req.Expect
	expect.AuthReqID, expect.AccessToken, expect.RefreshToken = req.AuthReqID, tokens.AccessToken, tokens.RefreshToken
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	if tokens.IDToken, err = c.VerifyIDToken(ctx, raw, expect); err != nil {
		return nil, err
	}
	return tokens, nil
}

// prepare makes sure that metadata and keys are at hand, new or old.
func (c *Client) prepare(ctx context.Context) (*Metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	m, err := c.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	_, err = c.keys.get(ctx)
	return m, err
}

// parseTokens reads a successful token response (RFC 6749 section 5.1) but for
// its ID token. bound says that a DPoP proof was sent: then the token must be
// bound, and otherwise it must not, or a downgrade would go unnoticed.
func parseTokens(o object, bound bool) (*Tokens, error) {
	var t Tokens
	var err error
	if t.AccessToken, err = opaqueToken(o, "access_token"); err != nil {
		return nil, err
	}
	if t.AccessToken == "" {
		return nil, errors.New("member \"access_token\" is missing")
	}
	if t.RefreshToken, err = opaqueToken(o, "refresh_token"); err != nil {
		return nil, err
	}
	if t.TokenType, err = parseTokenType(o, bound); err != nil {
		return nil, err
	}
	if t.ExpiresIn, _, err = o.seconds("expires_in", 1, maxTokenLife); err != nil {
		return nil, err
	}
	scope, err := o.text("scope", MaxScope)
	if err != nil {
		return nil, err
	}
	t.Scope = strings.Fields(scope)
	if err := checkTokens("scope", t.Scope); err != nil {
		return nil, errors.New("member \"scope\" has characters that no scope has")
	}
	if raw, ok := o["authorization_details"]; ok {
		t.AuthorizationDetails = bytes.Clone(raw) // it outlives the answer
		if _, err := ParseAuthorizationDetails(t.AuthorizationDetails); err != nil {
			return nil, fmt.Errorf("member %q: %w", "authorization_details", err)
		}
	}
	return &t, nil
}

func opaqueToken(o object, name string) (string, error) {
	s, err := o.text(name, maxToken)
	if err == nil && s != "" && !isVisible(s) {
		err = fmt.Errorf("member %q has other characters than visible ASCII", name)
	}
	return s, err
}

// tokenTypes are those of the registry, and what token exchange says for none
// (RFC 8693). It is read only.
var tokenTypes = []string{"Bearer", "DPoP", "MAC", "PoP", "N_A"}

func parseTokenType(o object, bound bool) (string, error) {
	got, err := o.text("token_type", maxCode)
	if err != nil {
		return "", err
	}
	want := "Bearer"
	if bound {
		want = "DPoP"
	}
	if !strings.EqualFold(got, want) {
		return "", fmt.Errorf("member %q is %s, want %q", "token_type", word(got, tokenTypes), want)
	}
	return want, nil
}
