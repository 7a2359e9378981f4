package ciba

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"
)

// Limits of an [Acknowledgement]. An answer beyond them is refused.
const (
	// MaxLifetime bounds expires_in, and requested_expiry likewise.
	MaxLifetime = 7 * 24 * time.Hour
	// MaxInterval bounds interval.
	MaxInterval = time.Hour
	// MaxAuthReqID bounds auth_req_id, in bytes.
	MaxAuthReqID = 8 << 10
)

// An Acknowledgement is the provider's promise to ask the person (CIBA Core
// section 7.3). Printing it shows no auth_req_id.
type Acknowledgement struct {
	// AuthReqID names the authentication request. It is opaque, may be longer
	// than 1,000 bytes, and belongs neither on a screen nor in a log.
	AuthReqID string
	// ExpiresIn is the life of AuthReqID as the provider says it, from now on.
	ExpiresIn time.Duration
	// RequestedExpiry is the request's own, 0 if it had none.
	RequestedExpiry time.Duration
	// Interval is the least time between two token requests: DefaultInterval if
	// the provider names none.
	Interval time.Duration
}

// Lifetime is how long to wait for the person: the shorter of ExpiresIn and
// RequestedExpiry. Some providers honour the requested expiry but do not say so;
// others ignore it, and who asked for a minute does not wait for an hour.
func (a Acknowledgement) Lifetime() time.Duration {
	if a.RequestedExpiry > 0 {
		return min(a.ExpiresIn, a.RequestedExpiry)
	}
	return a.ExpiresIn
}

// RequestAuthentication asks the provider to ring the person's phone (CIBA Core
// section 7). A request that breaks a rule of this package is a [*FieldError]
// and is not sent.
//
// The provider's keys are fetched first if need be, so that no phone rings for
// tokens that could not be verified.
//
// An error that is [ErrInterrupted] means that the phone may be ringing: to send
// the request again could make it ring twice.
func (c *Client) RequestAuthentication(ctx context.Context, req AuthenticationRequest) (Acknowledgement, error) {
	if err := req.Validate(c.profile); err != nil {
		return Acknowledgement{}, err
	}
	if err := c.adaptLoginHint(&req); err != nil {
		return Acknowledgement{}, err
	}
	m, err := c.Metadata(ctx)
	if err != nil {
		return Acknowledgement{}, err
	}
	if err := c.checkSupport(&req, m); err != nil {
		return Acknowledgement{}, err
	}
	if _, err := c.keys.get(ctx); err != nil {
		return Acknowledgement{}, err
	}
	params := req.parameters(cmp.Or(c.profile.Expiry.Parameter, "requested_expiry"))
	form := params.form()
	if c.signer != nil {
		if form, err = c.signer.form(c.identity, params); err != nil {
			return Acknowledgement{}, err
		}
	}
	o, a, err := c.post(ctx, exchange{
		endpoint: endpointAuthenticate,
		url: m.endpoint(c.mutualTLS, m.BackchannelAuthenticationEndpoint, func(e *EndpointAliases) string {
			return e.BackchannelAuthenticationEndpoint
		}),
		form:    form,
		timeout: authenticateTimeout,
	})
	if err != nil {
		return Acknowledgement{}, c.understand(err)
	}
	ack, err := parseAcknowledgement(o)
	if err != nil {
		return Acknowledgement{}, a.protocolErrorf("%v", err)
	}
	ack.RequestedExpiry = req.RequestedExpiry
	return ack, nil
}

// checkSupport refuses what the provider's metadata says that it cannot do.
func (c *Client) checkSupport(req *AuthenticationRequest, m *Metadata) error {
	if err := c.checkDelivery(req, m); err != nil {
		return err
	}
	if req.UserCode != "" && !m.BackchannelUserCode {
		return fieldErrorf("UserCode", "is set, but the provider does not support user codes")
	}
	if c.signer != nil {
		if err := c.signer.check(m); err != nil {
			return err
		}
	}
	return req.checkDetailTypes(m)
}

func parseAcknowledgement(o object) (Acknowledgement, error) {
	id, err := o.text("auth_req_id", MaxAuthReqID)
	if err != nil {
		return Acknowledgement{}, err
	}
	if !isVisible(id) {
		return Acknowledgement{}, errAuthReqID
	}
	expiresIn, ok, err := o.seconds("expires_in", 1, MaxLifetime)
	if err != nil {
		return Acknowledgement{}, err
	}
	if !ok {
		return Acknowledgement{}, errExpiresIn
	}
	interval, _, err := o.seconds("interval", 0, MaxInterval)
	if err != nil {
		return Acknowledgement{}, err
	}
	if interval == 0 {
		interval = DefaultInterval
	}
	return Acknowledgement{AuthReqID: id, ExpiresIn: expiresIn, Interval: interval}, nil
}

var (
	errAuthReqID = errors.New("member \"auth_req_id\" is missing, or has other characters than visible ASCII")
	errExpiresIn = errors.New("member \"expires_in\" is missing")
)

// isVisible reports whether s is one or more visible ASCII characters.
func isVisible(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}
