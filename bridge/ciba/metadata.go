package ciba

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Metadata describes a provider (OpenID Connect Discovery 1.0 section 3, CIBA
// Core section 4, RFC 8414). Obtain it from [Client.Metadata], or write it down for a
// provider without discovery. The field names in JSON are the registered ones.
type Metadata struct {
	// Issuer, TokenEndpoint, BackchannelAuthenticationEndpoint and JWKSURI are
	// required, and https.
	Issuer                            string `json:"issuer"`
	TokenEndpoint                     string `json:"token_endpoint"`
	BackchannelAuthenticationEndpoint string `json:"backchannel_authentication_endpoint"`
	JWKSURI                           string `json:"jwks_uri"`

	// RevocationEndpoint and the other endpoints are "" if there is none.
	RevocationEndpoint    string `json:"revocation_endpoint,omitempty"`
	IntrospectionEndpoint string `json:"introspection_endpoint,omitempty"`
	UserinfoEndpoint      string `json:"userinfo_endpoint,omitempty"`

	// MTLSEndpointAliases are the endpoints for clients that authenticate with a
	// certificate (RFC 8705 section 5); nil if they are the same.
	MTLSEndpointAliases *EndpointAliases `json:"mtls_endpoint_aliases,omitempty"`

	// BackchannelTokenDeliveryModes are "poll", "ping" and "push" as supported.
	BackchannelTokenDeliveryModes []string `json:"backchannel_token_delivery_modes_supported,omitempty"`
	// BackchannelRequestSigningAlgs are the algorithms of signed authentication
	// requests; nil if these are not supported.
	BackchannelRequestSigningAlgs []string `json:"backchannel_authentication_request_signing_alg_values_supported,omitempty"`
	// BackchannelUserCode says whether user codes are supported.
	BackchannelUserCode bool `json:"backchannel_user_code_parameter_supported,omitempty"`
	// BackchannelLoginHintTokenTypes are those of FAPI-CIBA; usually nil.
	BackchannelLoginHintTokenTypes []string `json:"backchannel_endpoint_login_hint_token_types_supported,omitempty"`

	GrantTypes                  []string `json:"grant_types_supported,omitempty"`
	Scopes                      []string `json:"scopes_supported,omitempty"`
	ACRValues                   []string `json:"acr_values_supported,omitempty"`
	IDTokenSigningAlgs          []string `json:"id_token_signing_alg_values_supported,omitempty"`
	TokenEndpointAuthMethods    []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	TokenEndpointAuthSigning    []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	DPoPSigningAlgs             []string `json:"dpop_signing_alg_values_supported,omitempty"`
	AuthorizationDetailsTypes   []string `json:"authorization_details_types_supported,omitempty"`
	CertificateBoundAccessToken bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
}

// EndpointAliases are the endpoints of [Metadata] for clients that authenticate
// with a certificate. An empty one has no alias.
type EndpointAliases struct {
	TokenEndpoint                     string `json:"token_endpoint,omitempty"`
	BackchannelAuthenticationEndpoint string `json:"backchannel_authentication_endpoint,omitempty"`
	RevocationEndpoint                string `json:"revocation_endpoint,omitempty"`
	IntrospectionEndpoint             string `json:"introspection_endpoint,omitempty"`
	UserinfoEndpoint                  string `json:"userinfo_endpoint,omitempty"`
}

// validate reports the first member that is missing or unusable.
func (m *Metadata) validate(allowHTTP bool) error {
	if err := checkIssuer(m.Issuer, allowHTTP); err != nil {
		return fmt.Errorf("member %q %w", "issuer", err)
	}
	required := map[string]string{
		"token_endpoint":                      m.TokenEndpoint,
		"backchannel_authentication_endpoint": m.BackchannelAuthenticationEndpoint,
		"jwks_uri":                            m.JWKSURI,
	}
	optional := map[string]string{
		"revocation_endpoint":    m.RevocationEndpoint,
		"introspection_endpoint": m.IntrospectionEndpoint,
		"userinfo_endpoint":      m.UserinfoEndpoint,
	}
	if a := m.MTLSEndpointAliases; a != nil {
		optional["mtls_endpoint_aliases.token_endpoint"] = a.TokenEndpoint
		optional["mtls_endpoint_aliases.backchannel_authentication_endpoint"] = a.BackchannelAuthenticationEndpoint
		optional["mtls_endpoint_aliases.revocation_endpoint"] = a.RevocationEndpoint
		optional["mtls_endpoint_aliases.introspection_endpoint"] = a.IntrospectionEndpoint
		optional["mtls_endpoint_aliases.userinfo_endpoint"] = a.UserinfoEndpoint
	}
	for _, name := range slices.Sorted(maps.Keys(required)) {
		if required[name] == "" {
			return fmt.Errorf("member %q is missing", name)
		}
		optional[name] = required[name]
	}
	for _, name := range slices.Sorted(maps.Keys(optional)) {
		if optional[name] == "" {
			continue
		}
		if err := checkURL(optional[name], allowHTTP); err != nil {
			return fmt.Errorf("member %q %w", name, err)
		}
	}
	return nil
}

// maxURL bounds the issuer and the endpoints.
const maxURL = 1024

// checkURL wants an absolute https URL. With allowHTTP, http will do for a
// loopback host.
func checkURL(s string, allowHTTP bool) error {
	if len(s) > maxURL {
		return fmt.Errorf("has %d bytes, at most %d are allowed", len(s), maxURL)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return errors.New("is not an absolute URL")
	case u.User != nil || u.Fragment != "":
		return errors.New("has a user or a fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && allowHTTP && isLoopback(u.Hostname()):
		return nil
	case u.Scheme == "http" && allowHTTP:
		return errors.New("is http to a host that is not this machine; https is required")
	default:
		return fmt.Errorf("has scheme %q; https is required", printable(u.Scheme, 16))
	}
}

func checkIssuer(s string, allowHTTP bool) error {
	if s == "" {
		return errors.New("is missing")
	}
	if strings.ContainsAny(s, "?#") {
		return errors.New("has a query or a fragment")
	}
	return checkURL(s, allowHTTP)
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// endpoint picks the URL of one endpoint, or its alias for clients that
// authenticate with a certificate.
func (m *Metadata) endpoint(alias bool, plain string, aliased func(*EndpointAliases) string) string {
	if alias && m.MTLSEndpointAliases != nil {
		if u := aliased(m.MTLSEndpointAliases); u != "" {
			return u
		}
	}
	return plain
}
