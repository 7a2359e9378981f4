package ciba

import (
	"context"
	"net/http"
	"net/url"
)

// A TokenTypeHint says what kind of token is revoked, which saves the provider
// from searching (RFC 7009 section 2.1).
type TokenTypeHint string

// The hints.
const (
	HintNone         TokenTypeHint = ""
	HintAccessToken  TokenTypeHint = "access_token"
	HintRefreshToken TokenTypeHint = "refresh_token"
)

// Revoke makes the provider forget a token (RFC 7009). To revoke a refresh token
// ends the sign-in: the provider also revokes the access tokens that came of it,
// if it can. A token that the provider does not know is no error.
//
// It is a [*FieldError] about RevocationEndpoint if the provider cannot revoke.
// After [ErrUnavailable], also with [ErrInterrupted], the token may still be
// good, and to revoke it again does no harm.
func (c *Client) Revoke(ctx context.Context, token string, hint TokenTypeHint) error {
	if !isVisible(token) || len(token) > maxToken {
		return fieldErrorf("token", "is empty, has more than %d bytes, or other characters than visible ASCII", maxToken)
	}
	m, err := c.Metadata(ctx)
	if err != nil {
		return err
	}
	endpoint := m.endpoint(c.mutualTLS, m.RevocationEndpoint, func(e *EndpointAliases) string { return e.RevocationEndpoint })
	if endpoint == "" {
		return fieldErrorf("RevocationEndpoint", "is missing from the provider's metadata: it cannot revoke tokens")
	}
	form := url.Values{"token": {token}}
	if hint != HintNone {
		form.Set("token_type_hint", string(hint))
	}
	a, err := c.send(ctx, exchange{endpoint: endpointRevocation, url: endpoint, form: form, timeout: authenticateTimeout})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK { // the body of success says nothing
		return a.failure()
	}
	return nil
}
