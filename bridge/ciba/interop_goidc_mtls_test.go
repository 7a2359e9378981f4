package ciba_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/luikyv/go-oidc/pkg/provider"
)

type peerKey struct{}

// peerCertificate finds the certificate that serveForeign put into the context.
func peerCertificate(ctx context.Context) (*x509.Certificate, error) {
	if c, ok := ctx.Value(peerKey{}).(*x509.Certificate); ok {
		return c, nil
	}
	return nil, errors.New("no client certificate")
}

// serveForeign serves the handler that p will have, with and without demand for
// a certificate.
func serveForeign(t *testing.T, p **foreignProvider) (plain, mtls *httptest.Server, hc *http.Client) {
	t.Helper()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			r = r.WithContext(context.WithValue(r.Context(), peerKey{}, r.TLS.PeerCertificates[0]))
		}
		(*p).mu.Lock()
		defer (*p).mu.Unlock()
		(*p).Handler().ServeHTTP(w, r)
	})
	plain, mtls = httptest.NewTLSServer(h), httptest.NewUnstartedServer(h)
	mtls.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	mtls.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(mtls.Close)
	pool := x509.NewCertPool()
	pool.AddCert(plain.Certificate())
	pool.AddCert(mtls.Certificate())
	hc = ciba.NewHTTPClient(&tls.Config{RootCAs: pool})
	t.Cleanup(hc.CloseIdleConnections)
	return plain, mtls, hc
}

func TestInteropGoOIDCMutualTLS(t *testing.T) {
	cert := newCertificate(t, tomorrow())
	leaf := must(x509.ParseCertificate(cert.Certificate[0]))
	thumbprint := sha256.Sum256(leaf.Raw)
	for name, tc := range map[string]struct {
		auth     ciba.Authenticator
		register func(*goidc.Client)
	}{
		"tls_client_auth subject_dn": {ciba.TLSClientAuth(), func(c *goidc.Client) {
			c.TLSSubjectDistinguishedName = leaf.Subject.String()
		}},
		"tls_client_auth san_dns": {ciba.TLSClientAuth(), func(c *goidc.Client) {
			c.TLSSubjectAlternativeName = "till-7.example.com"
		}},
		"self_signed_tls_client_auth": {ciba.SelfSignedTLSClientAuth(), func(c *goidc.Client) {
			c.JWKS = &goidc.JSONWebKeySet{Keys: []goidc.JSONWebKey{{
				Key: leaf.PublicKey, KeyID: "tls", Certificates: []*x509.Certificate{leaf}, CertificateThumbprintSHA256: thumbprint[:],
			}}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var p *foreignProvider
			plain, mtls, hc := serveForeign(t, &p)
			p = newForeignProvider(t, func(f *foreign) {
				f.issuer = plain.URL
				f.options = append(f.options,
					provider.WithTLSAuthn(), provider.WithSelfSignedTLSAuthn(),
					provider.WithMTLS(provider.MTLSConfig{Host: mtls.URL, ClientCert: peerCertificate}, provider.WithMTLSTokenBinding()))
				f.client = func(c *goidc.Client) {
					if c.ID == "basic" {
						c.TokenAuthnMethod = goidc.AuthnMethod(tc.auth.Method())
						c.TLSTokenBindingRequired = true
						tc.register(c)
					}
				}
			})
			current := cert
			client := must(ciba.New(ciba.Config{
				Issuer: plain.URL, ClientID: "basic", Auth: tc.auth, HTTPClient: hc,
				Certificate: func() (*tls.Certificate, error) { return current, nil },
			}))
			ack := ring(t, client, foreignRequest())
			p.approve(t)
			tokens, err := client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID, Expect: ciba.Expect{Subject: "anna-7"}})
			if err != nil {
				t.Fatal(err)
			}
			if tokens.TokenType != "Bearer" {
				t.Errorf("token type is %q", tokens.TokenType)
			}
			current = newCertificateFor(t, "till-8")
			_, err = client.RequestAuthentication(t.Context(), foreignRequest())
			wantClasses(t, err, ciba.ErrInvalidClient)
		})
	}
}
