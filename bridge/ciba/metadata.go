package ciba

// Metadata describes a provider (OpenID Connect Discovery 1.0 section 3, CIBA
// Core section 4, RFC 8414). Obtain it from [Discover], or write it down for a
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
