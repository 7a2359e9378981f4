package ciba

import (
	"net/http"
	"net/url"
)

// An Authenticator proves to the provider who the client is. It must be safe
// for concurrent use. [ClientSecretBasic], [ClientSecretPost] and
// [PrivateKeyJWT] return those of this package.
type Authenticator interface {
	// Method is the registered name (token_endpoint_auth_method), such as
	// "private_key_jwt". With one that begins with "tls_" or "self_signed_tls_"
	// the client uses the provider's mtls_endpoint_aliases.
	Method() string
	// Authenticate adds the credentials of the client to one request: to its form
	// or to its header.
	Authenticate(id Identity, form url.Values, header http.Header) error
}

// Identity is who authenticates, and to whom.
type Identity struct {
	// ClientID is the client's name at the provider.
	ClientID string
	// Issuer is the provider, the audience of an assertion.
	Issuer string
}
