package ciba

import (
	"context"
	"errors"
)

// endpointNotification is where pushes come in.
const endpointNotification = "notification"

// push verifies what a provider brought and passes it on. The error is a passing
// one: the provider may bring the same again.
func (h *NotificationHandler) push(ctx context.Context, id string, s SignIn, o object) error {
	tokens, err := h.cfg.Client.verifyPush(ctx, s, o)
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return h.cfg.Pushed(ctx, id, tokens, err)
}

// verifyPush checks the payload of a push (CIBA Core section 10.3.1), whose
// auth_req_id is that of s.
func (c *Client) verifyPush(ctx context.Context, s SignIn, o object) (*Tokens, error) {
	a := &answer{endpoint: endpointNotification}
	if _, failed := o["error"]; failed {
		return nil, a.pushError(o)
	}
	if _, err := c.prepare(ctx); err != nil {
		// Whatever is wrong with the provider's metadata and keys, the tokens are
		// not what is wrong.
		return nil, &transportError{endpoint: endpointNotification, unsent: true, err: err}
	}
	tokens, err := parseTokens(o, false)
	if err != nil {
		return nil, a.protocolErrorf("%v", err)
	}
	raw, err := o.text("id_token", maxToken)
	if err != nil {
		return nil, a.protocolErrorf("%v", err)
	}
	expect := s.Expect
	expect.AuthReqID, expect.AccessToken, expect.RefreshToken, expect.Push = s.AuthReqID, tokens.AccessToken, tokens.RefreshToken, true
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	if tokens.IDToken, err = c.VerifyIDToken(ctx, raw, expect); err != nil {
		return nil, err
	}
	return tokens, nil
}

// pushError reads the payload of a failure (CIBA Core section 12).
func (a *answer) pushError(o object) error {
	e := &Error{Endpoint: a.endpoint}
	if err := a.errorMembers(o, e); err != nil {
		return err
	}
	switch e.Code {
	case CodeAccessDenied, CodeExpiredToken, CodeTransactionFailed:
		return e
	default:
		return a.protocolErrorf("error %s is not one that a push may carry", e.Code.text())
	}
}
