package ciba_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"slices"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/go-jose/go-jose/v4"
)

// An interopClient is a client as it is registered, and as it proves itself.
type interopClient struct {
	name, id   string // in the table, and at the provider
	idTokenAlg string
	metadata   map[string]any // what else the provider knows
	// right and wrong are what proves it and what does not: Auth, Certificate,
	// RequestSigning, and Delivery.
	right, wrong ciba.Config
	desk         *notifyDesk // nil in poll mode
}

func (c interopClient) registration() map[string]any {
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

// with returns c with another id and more metadata.
func (c interopClient) with(suffix string, metadata map[string]any) interopClient {
	c.id += suffix
	c.metadata = maps.Clone(c.metadata)
	maps.Copy(c.metadata, metadata)
	return c
}

// signs returns c as a client that is registered to sign its requests.
func (c interopClient) signs() interopClient {
	if c.right.RequestSigning != nil {
		return c.with(".signs", nil)
	}
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	signature := jose.JSONWebKey{Key: key.Public(), KeyID: "request", Algorithm: "ES256", Use: "sig"}
	known, _ := c.metadata["jwks"].(jose.JSONWebKeySet)
	c = c.with(".signs", map[string]any{
		"backchannel_authentication_request_signing_alg": "ES256",
		"jwks": jose.JSONWebKeySet{Keys: append(slices.Clone(known.Keys), signature)},
	})
	c.right.RequestSigning = &ciba.RequestSigning{Key: ciba.PrivateKey{Signer: key, KeyID: "request"}}
	c.wrong.RequestSigning = c.right.RequestSigning
	return c
}

// delivered returns c as a client of one delivery mode.
func (c interopClient) delivered(t *testing.T, authority *mtlstest.Authority, mode ciba.DeliveryMode) interopClient {
	t.Helper()
	if mode == ciba.DeliveryPoll {
		return c
	}
	desk, url := newNotifyDesk(t, authority)
	c = c.with("."+string(mode), map[string]any{
		"backchannel_token_delivery_mode":          string(mode),
		"backchannel_client_notification_endpoint": url,
	})
	c.desk, c.right.Delivery, c.wrong.Delivery = desk, mode, mode
	if mode == ciba.DeliveryPush {
		c.right.Tolerate = []ciba.Tolerance{ciba.ToleratePushWithoutAtHash}
	}
	return c
}

// interopClients are the columns of the tables. Their ID tokens are signed with
// all kinds of algorithms, and their secrets are such that only a correct form
// encoding gets them across. Certificates are authority's.
func interopClients(t *testing.T, authority *mtlstest.Authority) []interopClient {
	const secret = "s3cret: 100% +/=&?-_~"
	keys := [2]crypto.Signer{mtlstest.Key(t), mtlstest.Key(t)}
	rsaKeys := [2]crypto.Signer{must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 2048))}
	till := [2]*tls.Certificate{authority.Bridge("till-7"), authority.Bridge("till-8")}
	selfSigned := [2]*tls.Certificate{newCertificate(t, tomorrow()), newCertificate(t, tomorrow())}
	return []interopClient{{
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
	thumbprint := sha256.Sum256(leaf.Raw)
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: leaf.PublicKey, KeyID: "tls", Certificates: []*x509.Certificate{leaf}, CertificateThumbprintSHA256: thumbprint[:],
	}}}
}

// anotherKey is a new key of the same kind.
func anotherKey(t *testing.T, key crypto.Signer) crypto.Signer {
	t.Helper()
	if _, ok := key.(*rsa.PrivateKey); ok {
		return must(rsa.GenerateKey(rand.Reader, 2048))
	}
	return mtlstest.Key(t)
}
