package ciba

import (
	"encoding/base64"
	"net/http"
	"net/url"
)

// An Authenticator proves to the provider who the client is. It must be safe
// for concurrent use. [ClientSecretBasic], [ClientSecretPost], [PrivateKeyJWT],
// [TLSClientAuth] and [SelfSignedTLSClientAuth] return those of this package.
type Authenticator interface {
	// Method is the registered name (token_endpoint_auth_method), such as
	// "private_key_jwt". With "tls_client_auth", "self_signed_tls_client_auth" or a
	// Config.Certificate the client uses the provider's mtls_endpoint_aliases (RFC
	// 8705 section 5).
	Method() string
	// Authenticate adds the credentials of the client to one request: to its form
	// or to its header. If it fails, the request is not sent, and the failure
	// counts as a passing one ([ErrUnavailable]): a key may be in a device that
	// does not answer now. The error must contain no secret.
	Authenticate(id Identity, form url.Values, header http.Header) error
}

// Identity is who authenticates, and to whom.
type Identity struct {
	// ClientID is the client's name at the provider.
	ClientID string
	// Issuer is the provider, the audience of an assertion.
	Issuer string
}

// mutualTLS reports whether a method proves the client with a certificate.
func mutualTLS(method string) bool {
	return method == "tls_client_auth" || method == "self_signed_tls_client_auth"
}

// ClientSecretBasic authenticates with a shared secret in the Authorization
// header. Client id and secret are form-encoded first, as RFC 6749 section
// 2.3.1 demands; providers that do not decode them again fail for secrets with
// characters other than letters, digits and "-._".
func ClientSecretBasic(secret string) Authenticator { return secretBasic{secret} }

// ClientSecretPost authenticates with a shared secret in the form (RFC 6749
// section 2.3.1).
func ClientSecretPost(secret string) Authenticator { return secretPost{secret} }

type (
	secretBasic struct{ secret string }
	secretPost  struct{ secret string }
)

func (secretBasic) Method() string { return "client_secret_basic" }
func (secretPost) Method() string  { return "client_secret_post" }

func (s secretBasic) Authenticate(id Identity, _ url.Values, header http.Header) error {
	userinfo := url.QueryEscape(id.ClientID) + ":" + url.QueryEscape(s.secret)
	header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(userinfo)))
	return nil
}

func (s secretPost) Authenticate(id Identity, form url.Values, _ http.Header) error {
	form.Set("client_id", id.ClientID)
	form.Set("client_secret", s.secret)
	return nil
}

func (s secretBasic) validate() error { return checkSecret(s.secret) }
func (s secretPost) validate() error  { return checkSecret(s.secret) }

func checkSecret(s string) error {
	if s == "" {
		return fieldErrorf("Auth", "the client secret is empty")
	}
	return nil
}
