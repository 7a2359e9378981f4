package ciba

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// How long metadata and keys are used before they are fetched again, and the
// least time between two fetches, which also bounds what a stream of unknown
// key ids can cause.
const (
	metadataMaxAge = time.Hour
	metadataPause  = 5 * time.Second
	keysMaxAge     = time.Hour
	keysPause      = 10 * time.Second
)

// Metadata returns what is known about the provider. Without Config.Metadata it
// is discovered on first use and again when it is an hour old; while that fails
// the last good one is used. Errors are of the classes [ErrUnavailable] and
// [ErrProtocol]. The caller must not change the result.
func (c *Client) Metadata(ctx context.Context) (*Metadata, error) {
	if c.static != nil {
		return c.static, nil
	}
	return c.discovered.get(ctx)
}

// discover fetches and checks the metadata (OpenID Connect Discovery 1.0
// section 4).
func (c *Client) discover(ctx context.Context) (*Metadata, error) {
	a, err := c.do(ctx, exchange{
		endpoint: endpointDiscovery,
		url:      strings.TrimSuffix(c.issuer, "/") + "/.well-known/openid-configuration",
		timeout:  fetchTimeout,
		limit:    maxFetch,
	})
	if err != nil {
		return nil, err
	}
	o, err := a.object()
	if err != nil {
		return nil, err
	}
	m, err := parseMetadata(o)
	if err != nil {
		return nil, a.protocolErrorf("%v", err)
	}
	if m.Issuer != c.issuer {
		return nil, a.protocolErrorf("issuer is %q, want exactly %q", printable(m.Issuer, maxURL), c.issuer)
	}
	if err := m.validate(c.allowHTTP); err != nil {
		return nil, a.protocolErrorf("%v", err)
	}
	if m.BackchannelTokenDeliveryModes == nil {
		return nil, a.protocolErrorf("member %q is missing: the provider, or this client's tenant of it, has no CIBA", "backchannel_token_delivery_modes_supported")
	}
	return m, nil
}

// parseMetadata reads the members of o that Metadata has.
func parseMetadata(o object) (*Metadata, error) {
	r := memberReader{object: o}
	m := &Metadata{
		Issuer:                            r.text("issuer"),
		TokenEndpoint:                     r.text("token_endpoint"),
		BackchannelAuthenticationEndpoint: r.text("backchannel_authentication_endpoint"),
		JWKSURI:                           r.text("jwks_uri"),
		RevocationEndpoint:                r.text("revocation_endpoint"),
		IntrospectionEndpoint:             r.text("introspection_endpoint"),
		UserinfoEndpoint:                  r.text("userinfo_endpoint"),
		BackchannelTokenDeliveryModes:     r.strings("backchannel_token_delivery_modes_supported"),
		BackchannelRequestSigningAlgs:     r.strings("backchannel_authentication_request_signing_alg_values_supported"),
		BackchannelUserCode:               r.flag("backchannel_user_code_parameter_supported"),
		BackchannelLoginHintTokenTypes:    r.strings("backchannel_endpoint_login_hint_token_types_supported"),
		GrantTypes:                        r.strings("grant_types_supported"),
		Scopes:                            r.strings("scopes_supported"),
		ACRValues:                         r.strings("acr_values_supported"),
		IDTokenSigningAlgs:                r.strings("id_token_signing_alg_values_supported"),
		TokenEndpointAuthMethods:          r.strings("token_endpoint_auth_methods_supported"),
		TokenEndpointAuthSigning:          r.strings("token_endpoint_auth_signing_alg_values_supported"),
		DPoPSigningAlgs:                   r.strings("dpop_signing_alg_values_supported"),
		AuthorizationDetailsTypes:         r.strings("authorization_details_types_supported"),
		CertificateBoundAccessToken:       r.flag("tls_client_certificate_bound_access_tokens"),
	}
	if raw, ok := o["mtls_endpoint_aliases"]; ok && r.err == nil {
		aliases, err := parseObject(raw)
		if err != nil {
			return nil, fmt.Errorf("member %q is not an object with unique members", "mtls_endpoint_aliases")
		}
		r.object = aliases
		m.MTLSEndpointAliases = &EndpointAliases{
			TokenEndpoint:                     r.text("token_endpoint"),
			BackchannelAuthenticationEndpoint: r.text("backchannel_authentication_endpoint"),
			RevocationEndpoint:                r.text("revocation_endpoint"),
			IntrospectionEndpoint:             r.text("introspection_endpoint"),
			UserinfoEndpoint:                  r.text("userinfo_endpoint"),
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

// A memberReader reads many members and keeps the first error.
type memberReader struct {
	object
	err error
}

func (r *memberReader) text(name string) string {
	s, err := r.object.text(name, maxURL)
	r.keep(err)
	return s
}

func (r *memberReader) strings(name string) []string {
	list, err := r.object.strings(name)
	r.keep(err)
	return list
}

func (r *memberReader) flag(name string) bool {
	b, err := r.object.flag(name)
	r.keep(err)
	return b
}

func (r *memberReader) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}
