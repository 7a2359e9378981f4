package ciba

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// A RefreshRequest asks for new tokens without asking the person (RFC 6749
// section 6, OpenID Connect Core section 12). Printing it shows no token.
type RefreshRequest struct {
	// RefreshToken is the latest that was received. Required.
	RefreshToken string
	// Scope is a part of what was granted; nil for all of it.
	Scope []string
	// Resource is a part of the resources that were granted (RFC 8707 section 2.2);
	// nil for all of them.
	Resource []string
	// Expect is what an ID token must say, if the answer has one. Subject should be
	// that of the first ID token: a refreshed one must not be another person's.
	Expect Expect
	// DPoPProof is sent as the DPoP header (RFC 9449); "" for none.
	DPoPProof string
}

// Refresh exchanges a refresh token for new tokens, with one request. The
// result's RefreshToken is the new one or, if the provider did not send any, the
// old one, which is then still good: whatever it is, it replaces the old one.
// Its IDToken is nil if the provider sent none.
//
// A provider that rotates refresh tokens takes the second use of one for theft,
// and revokes all tokens of the sign-in. After an error that is [ErrInterrupted]
// the old token may have been used, so it must not be sent again: the person has
// to sign in anew. After one that is [ErrUnavailable] alone it may.
// [ErrInvalidGrant] means that the token is no longer good.
func (c *Client) Refresh(ctx context.Context, req RefreshRequest) (*Tokens, error) {
	if err := req.validate(); err != nil {
		return nil, err
	}
	m, err := c.prepare(ctx)
	if err != nil {
		return nil, err
	}
	o, a, err := c.post(ctx, exchange{
		endpoint: endpointToken,
		url:      m.endpoint(c.mutualTLS, m.TokenEndpoint, func(e *EndpointAliases) string { return e.TokenEndpoint }),
		form:     req.form(),
		header:   proofHeader(req.DPoPProof),
		timeout:  tokenTimeout,
	})
	if err != nil {
		return nil, err
	}
	tokens, err := parseTokens(o, req.DPoPProof != "")
	if err != nil {
		return nil, a.protocolErrorf("%v", err)
	}
	if tokens.RefreshToken == "" {
		tokens.RefreshToken = req.RefreshToken
	}
	tokens.DPoPNonce = parseNonce(a.header.Get("DPoP-Nonce"))
	raw, err := o.text("id_token", maxToken)
	if err != nil {
		return nil, a.protocolErrorf("%v", err)
	}
	if _, sent := o["id_token"]; !sent {
		return tokens, nil
	}
	expect := req.Expect
	expect.AuthReqID, expect.Push = "", false
	expect.AccessToken, expect.RefreshToken = tokens.AccessToken, tokens.RefreshToken
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	if tokens.IDToken, err = c.VerifyIDToken(ctx, raw, expect); err != nil {
		return nil, err
	}
	return tokens, nil
}

func (r *RefreshRequest) validate() error {
	if !isVisible(r.RefreshToken) || len(r.RefreshToken) > maxToken {
		return fieldErrorf("RefreshToken", "is empty, has more than %d bytes, or other characters than visible ASCII", maxToken)
	}
	if err := checkTokens("Scope", r.Scope); err != nil {
		return err
	}
	return checkResources(r.Resource)
}

func (r *RefreshRequest) form() url.Values {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.RefreshToken}}
	if len(r.Scope) > 0 {
		form.Set("scope", strings.Join(r.Scope, " "))
	}
	if len(r.Resource) > 0 {
		form["resource"] = r.Resource
	}
	return form
}

func proofHeader(proof string) http.Header {
	if proof == "" {
		return nil
	}
	return http.Header{"Dpop": {proof}}
}
