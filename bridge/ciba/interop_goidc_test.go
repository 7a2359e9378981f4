package ciba_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/luikyv/go-oidc/pkg/provider"
)

// These tests run the client against a provider that nobody here wrote.

// A foreignProvider is go-oidc, called without a network.
type foreignProvider struct {
	*provider.Provider
	clientKey *rsa.PrivateKey
	rang      chan string // auth_req_ids
	// mu lets one caller at a time in: the provider's own store hands out pointers
	// to what it keeps, and polls race with decisions.
	mu   sync.Mutex
	jtis map[string]bool
}

const foreignIssuer = "https://foreign.test"

// foreign is how the provider is set up.
type foreign struct {
	issuer  string
	ciba    provider.CIBAGrantConfig
	cibaOpt []provider.CIBAOption
	options []provider.Option
	client  func(*goidc.Client) // edits each client
}

type foreignOption func(*foreign)

// newForeignProvider returns a provider for poll clients with secrets and keys,
// unless more says otherwise.
func newForeignProvider(t *testing.T, more ...foreignOption) *foreignProvider {
	t.Helper()
	f := foreign{issuer: foreignIssuer, ciba: provider.CIBAGrantConfig{DeliveryModes: []goidc.CIBATokenDeliveryMode{goidc.CIBADeliveryModePoll}}}
	for _, edit := range more {
		edit(&f)
	}
	p := &foreignProvider{clientKey: must(rsa.GenerateKey(rand.Reader, 2048)), rang: make(chan string, 1), jtis: map[string]bool{}}
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	keys := goidc.JSONWebKeySet{Keys: []goidc.JSONWebKey{{Key: key, KeyID: "op", Algorithm: "ES256", Use: "sig"}}}
	clients := p.clients()
	for _, c := range clients {
		if f.client != nil {
			f.client(c)
		}
	}
	options := []provider.Option{
		provider.WithScopes(goidc.ScopeOpenID, goidc.NewScope("seat")),
		provider.WithCIBAGrant(f.ciba, append(f.cibaOpt, provider.WithCIBASessionHandler(p.ring))...),
		provider.WithRefreshTokenGrant(nil),
		provider.WithSecretBasicAuthn(),
		provider.WithSecretPostAuthn(),
		provider.WithPrivateKeyJWTAuthn(goidc.SigAlgPS256),
		provider.WithIDTokenClaims(func(_ context.Context, g *goidc.Grant) map[string]any {
			return map[string]any{"auth_time": g.CreatedAt, "acr": "urn:phone"}
		}),
		provider.WithJTIConsumer(p.consume),
		provider.WithStaticClients(clients...),
	}
	op, err := provider.New(
		provider.Config{
			Issuer:      f.issuer,
			JWKS:        func(context.Context) (goidc.JSONWebKeySet, error) { return keys, nil },
			IDTokenAlgs: []goidc.SignatureAlgorithm{goidc.SigAlgES256},
		},
		append(options, f.options...)...,
	)
	if err != nil {
		t.Fatal(err)
	}
	p.Provider = op
	return p
}

func (p *foreignProvider) clients() []*goidc.Client {
	var list []*goidc.Client
	for id, method := range map[string]goidc.AuthnMethod{
		"basic": goidc.AuthnMethodSecretBasic,
		"post":  goidc.AuthnMethodSecretPost,
		"jwt":   goidc.AuthnMethodPrivateKeyJWT,
	} {
		c := &goidc.Client{ID: id, Secret: "s3cret-" + id, ClientMeta: goidc.ClientMeta{
			GrantTypes:            []goidc.GrantType{goidc.GrantCIBA, goidc.GrantRefreshToken},
			ScopeIDs:              "openid seat",
			TokenAuthnMethod:      method,
			CIBATokenDeliveryMode: goidc.CIBADeliveryModePoll,
		}}
		if method == goidc.AuthnMethodPrivateKeyJWT {
			c.JWKS = &goidc.JSONWebKeySet{Keys: []goidc.JSONWebKey{{Key: p.clientKey.Public(), KeyID: "k1", Algorithm: "PS256", Use: "sig"}}}
		}
		list = append(list, c)
	}
	return list
}

func (p *foreignProvider) ring(_ context.Context, s *goidc.AuthnSession, _ *goidc.Client) error {
	if s.LoginHint != "anna" {
		return goidc.NewError("unknown_user_id", "nobody of that name")
	}
	p.rang <- s.AuthReqID
	return nil
}

// consume refuses a jti that was used before.
func (p *foreignProvider) consume(_ context.Context, jti string) error {
	if p.jtis[jti] {
		return errors.New("jti was used before")
	}
	p.jtis[jti] = true
	return nil
}

func (p *foreignProvider) approve(t *testing.T) {
	id := <-p.rang
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.CIBAManager().SessionByAuthReqID(t.Context(), id)
	if err != nil {
		t.Error(err)
		return
	}
	s.Subject, s.GrantedScopes = "anna-7", "openid seat"
	s.GrantedAuthDetails, s.GrantedResources = s.AuthDetails, s.Resources
	if err := p.CIBAManager().SaveSession(t.Context(), s); err != nil {
		t.Error(err)
	}
	if err := p.GrantCIBARequest(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func (p *foreignProvider) deny(t *testing.T) {
	id := <-p.rang
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.DenyCIBARequest(t.Context(), id, goidc.NewError(goidc.ErrorCodeAccessDenied, "no")); err != nil {
		t.Error(err)
	}
}

// RoundTrip calls the provider's handler.
func (p *foreignProvider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := httptest.NewRecorder()
	server := r.Clone(r.Context())
	if server.Body == nil {
		server.Body = http.NoBody
	}
	server.RequestURI = r.URL.RequestURI()
	p.Handler().ServeHTTP(w, server)
	return w.Result(), nil
}

func (p *foreignProvider) client(t *testing.T, id string, auth ciba.Authenticator, edit ...func(*ciba.Config)) *ciba.Client {
	t.Helper()
	cfg := ciba.Config{Issuer: foreignIssuer, ClientID: id, Auth: auth, HTTPClient: &http.Client{Transport: p}}
	for _, f := range edit {
		f(&cfg)
	}
	client, err := ciba.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func foreignRequest() ciba.AuthenticationRequest {
	return ciba.AuthenticationRequest{Scope: []string{"openid", "seat"}, LoginHint: "anna", BindingMessage: profile.Binding{}.New()}
}

func TestInteropGoOIDC(t *testing.T) {
	for _, method := range []string{"basic", "post", "jwt"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newForeignProvider(t)
				auth := map[string]ciba.Authenticator{
					"basic": ciba.ClientSecretBasic("s3cret-basic"),
					"post":  ciba.ClientSecretPost("s3cret-post"),
					"jwt":   must(ciba.PrivateKeyJWT(ciba.PrivateKey{Signer: p.clientKey, KeyID: "k1"})),
				}[method]
				client := p.client(t, method, auth)
				start := time.Now()
				ack := ring(t, client, foreignRequest())
				time.AfterFunc(7*time.Second, func() { p.approve(t) })
				tokens, err := client.Wait(t.Context(), ack, ciba.Expect{
					Subject: "anna-7", RequestedAt: start, RequireAuthTime: true, ACRValues: []string{"urn:phone"},
				})
				if err != nil {
					t.Fatal(err)
				}
				if tokens.AccessToken == "" || tokens.RefreshToken == "" || tokens.IDToken.Subject != "anna-7" {
					t.Error("tokens are incomplete")
				}
				_, err = client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID})
				// This provider says invalid_grant or expired_token of a redeemed
				// request, depending on where it keeps them.
				if !errors.Is(err, ciba.ErrInvalidGrant) && !errors.Is(err, ciba.ErrExpired) {
					t.Errorf("redeemed again: %v", err)
				}
			})
		})
	}
}

func TestInteropGoOIDCRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newForeignProvider(t)
		client := p.client(t, "basic", ciba.ClientSecretBasic("s3cret-basic"))
		ack := ring(t, client, foreignRequest())
		p.deny(t)
		_, err := client.Wait(t.Context(), ack, ciba.Expect{})
		wantClasses(t, err, ciba.ErrDenied)

		ack = ring(t, client, foreignRequest())
		<-p.rang
		_, err = client.Wait(t.Context(), ack, ciba.Expect{})
		wantClasses(t, err, ciba.ErrExpired)

		req := foreignRequest()
		req.LoginHint = "nobody"
		_, err = client.RequestAuthentication(t.Context(), req)
		wantClasses(t, err, ciba.ErrUnknownUser)

		ack = ring(t, client, foreignRequest())
		p.approve(t)
		_, err = client.Wait(t.Context(), ack, ciba.Expect{Subject: "bela-9"})
		var e *ciba.IDTokenError
		if !errors.As(err, &e) || e.Check != ciba.CheckSubject {
			t.Errorf("another person's tokens: %v", err)
		}

		_, err = p.client(t, "basic", ciba.ClientSecretBasic("wrong")).RequestAuthentication(t.Context(), foreignRequest())
		wantClasses(t, err, ciba.ErrInvalidClient)
	})
}
