package ciba_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/go-jose/go-jose/v4"
)

// An oidcClient is a client as it is registered, and as it proves itself.
type oidcClient struct {
	name, id   string // in the table, and at the provider
	idTokenAlg string
	metadata   map[string]any // what else the provider knows
	// right and wrong are what proves it and what does not: Auth and Certificate.
	right, wrong ciba.Config
}

func (c oidcClient) registration() map[string]any {
	m := map[string]any{
		"client_id":                       c.id,
		"token_endpoint_auth_method":      c.right.Auth.Method(),
		"grant_types":                     []string{ciba.GrantType, "refresh_token"},
		"redirect_uris":                   []string{},
		"response_types":                  []string{},
		"backchannel_token_delivery_mode": "poll",
		"backchannel_user_code_parameter": true,
		"id_token_signed_response_alg":    c.idTokenAlg,
		"require_auth_time":               true,
		"authorization_details_types":     []string{"vehicle"},
	}
	maps.Copy(m, c.metadata)
	return m
}

// oidcClients are the columns of the table. Their ID tokens are signed with all
// kinds of algorithms, and their secrets are such that only a correct form
// encoding gets them across. Certificates are authority's.
func oidcClients(t *testing.T, authority *mtlstest.Authority) []oidcClient {
	const secret = "s3cret: 100% +/=&?-_~"
	keys := [2]crypto.Signer{mtlstest.Key(t), mtlstest.Key(t)}
	rsaKeys := [2]crypto.Signer{must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 2048))}
	till := [2]*tls.Certificate{authority.Bridge("till-7"), authority.Bridge("till-8")}
	selfSigned := [2]*tls.Certificate{newCertificate(t, tomorrow()), newCertificate(t, tomorrow())}
	return []oidcClient{{
		name: "client_secret_basic", id: "till:7+basic", idTokenAlg: "ES256",
		metadata: map[string]any{"client_secret": secret},
		right:    ciba.Config{Auth: ciba.ClientSecretBasic(secret)},
		wrong:    ciba.Config{Auth: ciba.ClientSecretBasic(secret + "!")},
	}, {
		name: "client_secret_post", id: "till-7-post", idTokenAlg: "PS256",
		metadata: map[string]any{"client_secret": secret},
		right:    ciba.Config{Auth: ciba.ClientSecretPost(secret)},
		wrong:    ciba.Config{Auth: ciba.ClientSecretPost(secret + "!")},
	}, {
		name: "private_key_jwt, ES256", id: "till-7-es256", idTokenAlg: "EdDSA",
		metadata: map[string]any{"token_endpoint_auth_signing_alg": "ES256", "jwks": keySet("ES256", keys[0])},
		right:    ciba.Config{Auth: assertion(keys[0])},
		wrong:    ciba.Config{Auth: assertion(keys[1])},
	}, {
		name: "private_key_jwt, PS256, signed requests, bound tokens", id: "till-7-fapi", idTokenAlg: "ES256",
		metadata: map[string]any{
			"backchannel_authentication_request_signing_alg": "PS256",
			"token_endpoint_auth_signing_alg":                "PS256",
			"jwks":                                           keySet("PS256", rsaKeys[0]),
			"tls_client_certificate_bound_access_tokens":     true,
		},
		right: ciba.Config{Auth: assertion(rsaKeys[0]), RequestSigning: signRequests(rsaKeys[0]), Certificate: present(till[0])},
		wrong: ciba.Config{Auth: assertion(rsaKeys[1]), RequestSigning: signRequests(rsaKeys[0]), Certificate: present(till[0])},
	}, {
		name: "tls_client_auth", id: "till-7-tls", idTokenAlg: "ES256",
		metadata: map[string]any{
			"tls_client_auth_san_uri":                    till[0].Leaf.URIs[0].String(),
			"tls_client_certificate_bound_access_tokens": true,
		},
		right: ciba.Config{Auth: ciba.TLSClientAuth(), Certificate: present(till[0])},
		wrong: ciba.Config{Auth: ciba.TLSClientAuth(), Certificate: present(till[1])},
	}, {
		name: "self_signed_tls_client_auth", id: "till-7-self", idTokenAlg: "ES256",
		metadata: map[string]any{
			"jwks": certificateSet(selfSigned[0]),
			"tls_client_certificate_bound_access_tokens": true,
		},
		right: ciba.Config{Auth: ciba.SelfSignedTLSClientAuth(), Certificate: present(selfSigned[0])},
		wrong: ciba.Config{Auth: ciba.SelfSignedTLSClientAuth(), Certificate: present(selfSigned[1])},
	}}
}

func assertion(key crypto.Signer) ciba.Authenticator {
	return must(ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: key, KeyID: "k1"}))
}

func signRequests(key crypto.Signer) *ciba.RequestSigning {
	return &ciba.RequestSigning{Key: ciba.PrivateKey{Signer: key, KeyID: "k1"}}
}

func present(cert *tls.Certificate) ciba.CertificateFunc {
	return func() (*tls.Certificate, error) { return cert, nil }
}

// keySet is the key set of a client that signs.
func keySet(alg string, key crypto.Signer) jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: alg, Use: "sig"}}}
}

// certificateSet is the key set of a client with a self-signed certificate.
func certificateSet(cert *tls.Certificate) jose.JSONWebKeySet {
	leaf := must(x509.ParseCertificate(cert.Certificate[0]))
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: leaf.PublicKey, Certificates: []*x509.Certificate{leaf}}}}
}
