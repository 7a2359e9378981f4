package ciba_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/luikyv/go-oidc/pkg/provider"
)

// A goOIDC is the Go library go-oidc, with a store of its own and a guard for
// what it would get wrong.
type goOIDC struct {
	op      *provider.Provider
	handler http.Handler
	store   *goOIDCStore
	thumb   sync.Mutex // one decision at a time
}

// goOIDCConfig is what differs between tests.
type goOIDCConfig struct {
	issuer, mtlsHost string
	clients          []interopClient
	notifier         *http.Client
}

// startGoOIDC serves the provider over TLS, and at another port with demand for
// a certificate.
func startGoOIDC(t *testing.T, authority *mtlstest.Authority, clients []interopClient) *interopPeer {
	t.Helper()
	var op *goOIDC
	serve := func(auth tls.ClientAuthType) *httptest.Server {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { op.ServeHTTP(w, r) }))
		s.TLS = &tls.Config{Certificates: []tls.Certificate{*authority.Server("127.0.0.1")}, ClientAuth: auth}
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	plain, mtls := serve(tls.NoClientCert), serve(tls.RequireAnyClientCert)
	hc := ciba.NewHTTPClient(&tls.Config{RootCAs: authority.Roots()})
	t.Cleanup(hc.CloseIdleConnections)
	op = newGoOIDC(t, goOIDCConfig{issuer: plain.URL, mtlsHost: mtls.URL, clients: clients, notifier: hc})
	return &interopPeer{name: goOIDCName(t), issuer: plain.URL, http: hc, people: op, inquire: clients[0], remarks: map[string]string{
		"asked again at once":            "it has no `slow_down`",
		"pushed, and `at_hash` demanded": "it leaves that out",
	}}
}

// goOIDCName names the version that the module requires.
func goOIDCName(t *testing.T) string {
	t.Helper()
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, version, ok := strings.Cut(string(module), "github.com/luikyv/go-oidc v")
	if !ok {
		t.Fatal("go.mod does not require go-oidc")
	}
	return "go-oidc " + strings.Fields(version)[0]
}

func newGoOIDC(t *testing.T, cfg goOIDCConfig) *goOIDC {
	t.Helper()
	p := &goOIDC{store: newGoOIDCStore()}
	keys := goidc.JSONWebKeySet{Keys: []goidc.JSONWebKey{
		{Key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), KeyID: "es256", Algorithm: "ES256", Use: "sig"},
		{Key: must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), KeyID: "es384", Algorithm: "ES384", Use: "sig"},
		{Key: must(rsa.GenerateKey(rand.Reader, 2048)), KeyID: "ps256", Algorithm: "PS256", Use: "sig"},
	}}
	allowed := func(context.Context, *goidc.Client) bool { return true }
	op, err := provider.New(
		provider.Config{
			Issuer:      cfg.issuer,
			Manager:     p.store,
			JWKS:        func(context.Context) (goidc.JSONWebKeySet, error) { return keys, nil },
			IDTokenAlgs: []goidc.SignatureAlgorithm{goidc.SigAlgES256, goidc.SigAlgES384, goidc.SigAlgPS256},
		},
		provider.WithStaticClients(goOIDCClients(t, cfg.clients)...),
		provider.WithScopes(goidc.ScopeOpenID, goidc.ScopeOfflineAccess, goidc.NewScope("seat")),
		provider.WithACRs("urn:example:phone"),
		provider.WithCIBAGrant(
			provider.CIBAGrantConfig{Manager: p.store, DeliveryModes: []goidc.CIBATokenDeliveryMode{"poll", "ping", "push"}},
			provider.WithCIBASessionHandler(p.admit),
			provider.WithCIBAUserCode(),
			provider.WithCIBAJAR([]goidc.SignatureAlgorithm{goidc.SigAlgPS256, goidc.SigAlgES256}),
			provider.WithCIBAHTTPClientFunc(func(context.Context) *http.Client { return cfg.notifier }),
		),
		provider.WithSecretBasicAuthn(), provider.WithSecretPostAuthn(),
		provider.WithPrivateKeyJWTAuthn(goidc.SigAlgPS256, goidc.SigAlgES256), provider.WithJTIConsumer(p.store.consume),
		provider.WithTLSAuthn(), provider.WithSelfSignedTLSAuthn(),
		provider.WithMTLS(provider.MTLSConfig{Host: cfg.mtlsHost, ClientCert: peerCertificate}, provider.WithMTLSTokenBinding()),
		provider.WithDPoP([]goidc.SignatureAlgorithm{goidc.SigAlgES256}),
		provider.WithRefreshTokenGrant(p.store, provider.WithRefreshTokenRotation()),
		provider.WithTokenRevocation(allowed),
		provider.WithTokenIntrospection(func(context.Context, *goidc.Client, goidc.TokenInfo) bool { return true }),
		provider.WithRAR([]goidc.AuthDetailType{"vehicle", "vessel"}),
		provider.WithResourceIndicators([]goidc.ResourceIndicator{car}),
		provider.WithIDTokenClaims(func(_ context.Context, g *goidc.Grant) map[string]any {
			return map[string]any{"auth_time": g.CreatedAt, "acr": g.Store["acr"]}
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	p.op, p.handler = op, op.Handler()
	return p
}

// goOIDCClients reads registrations as go-oidc does.
func goOIDCClients(t *testing.T, clients []interopClient) (list []*goidc.Client) {
	t.Helper()
	for _, c := range clients {
		registration := c.registration()
		registration["scope"] = "openid offline_access seat"
		secret, _ := registration["client_secret"].(string)
		client := &goidc.Client{ID: c.id, Secret: secret}
		if err := json.Unmarshal(must(json.Marshal(registration)), &client.ClientMeta); err != nil {
			t.Fatal(err)
		}
		list = append(list, client)
	}
	return list
}

type peerKey struct{}

// peerCertificate finds the certificate that the guard put into the context.
func peerCertificate(ctx context.Context) (*x509.Certificate, error) {
	if c, ok := ctx.Value(peerKey{}).(*x509.Certificate); ok {
		return c, nil
	}
	return nil, errors.New("no client certificate")
}

// ServeHTTP is the guard: it undoes the form encoding of Basic authentication
// (RFC 6749 section 2.3.1), which go-oidc leaves to us, and tells the store who
// asks.
func (p *goOIDC) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		ctx = context.WithValue(ctx, peerKey{}, r.TLS.PeerCertificates[0])
	}
	if r.Method == http.MethodPost {
		caller := r.PostFormValue("client_id")
		if id, secret, ok := r.BasicAuth(); ok {
			id, errID := url.QueryUnescape(id)
			secret, errSecret := url.QueryUnescape(secret)
			if errID != nil || errSecret != nil {
				http.Error(w, "credentials are not form-encoded", http.StatusBadRequest)
				return
			}
			r.SetBasicAuth(id, secret)
			caller = id
		}
		ctx = context.WithValue(ctx, callerKey{}, caller)
	}
	p.handler.ServeHTTP(w, r.WithContext(ctx))
}
