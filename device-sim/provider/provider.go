// Package provider is the OpenID provider of the simulator: go-oidc with CIBA
// (OpenID Connect Client-Initiated Backchannel Authentication Core 1.0), a
// directory of people, and the side that their phones talk to.
//
// It is a real provider, reached over HTTP like any other, so that a bridge
// which works against it works against a stranger's. What go-oidc v0.25.0
// leaves open is closed here: one redemption per auth_req_id under any
// concurrency, one decision per request, polls that come too early told to
// slow down, hints, binding messages and expiries validated, client
// credentials decoded as RFC 6749 section 2.3.1 wants them, replayed client
// assertions refused, and storage that neither forgets a live grant nor grows
// without bound.
//
// # Wiring
//
//	op, err := provider.New(provider.Config{
//		Issuer:   "https://op.example.com",
//		Key:      key, // ECDSA P-256
//		Clients:  []provider.Client{{ID: "bridge", Name: "Carillon", Secret: secret, Scopes: []string{"seat"}}},
//		People:   provider.SamplePeople(),
//		Scopes:   provider.SampleScopes(),
//		Resource: "https://settings.example.com",
//	})
//	go http.Serve(listener, op)          // or an in-memory http.RoundTripper
//	op.Watch(ctx, subject, func(r provider.Request) { ... op.Approve(ctx, r.ID, provider.Approval{}) })
//
// Package phone wraps Watch, Approve and Deny into a phone of one person.
//
// # An auth_req_id is redeemed once
//
// The first token request after the approval gets the tokens. Any further one,
// simultaneous or later, gets invalid_grant and revokes the grant: the refresh
// token is dead, the access token lives until it expires, because a resource
// server checks it offline. A client must never repeat a token request that
// may have succeeded. Refresh tokens rotate under the same rule.
//
// # What outlives it
//
// Nothing, unless it has a [Journal]. With one, a provider may be killed at any
// moment: what it had answered holds, and phones go on with what is undecided.
package provider

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
	op "github.com/luikyv/go-oidc/pkg/provider"
)

// Endpoint paths, relative to the issuer. Clients learn them by discovery.
const (
	pathCIBA  = "/bc-authorize"
	pathToken = "/token"
)

// Provider is an OpenID provider. It is an http.Handler for the root of the
// issuer's host, safe for concurrent use, and owns no goroutine.
type Provider struct {
	cfg      Config
	op       *op.Provider
	handler  http.Handler
	key      *signingKey
	people   directory
	clients  map[string]Client
	requests *requestStore
	grants   *grantStore
	replays  *replayMemory
}

// New checks cfg and returns a provider. Errors name the field.
func New(cfg Config) (*Provider, error) {
	return assemble(cfg, func(s stores) stores { return s })
}

// stores are the seams at which go-oidc reads and writes state.
type stores struct {
	grants goidc.GrantManager
	ciba   goidc.CIBAManager
}

// assemble builds a Provider whose state go-oidc reaches through wrap, which
// lets a test put latency between a read and the write that follows.
func assemble(cfg Config, wrap func(stores) stores) (*Provider, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	key, err := newSigningKey(cfg.Key)
	if err != nil {
		return nil, err
	}
	people, err := newDirectory(cfg.People)
	if err != nil {
		return nil, err
	}
	clients, err := cfg.clients()
	if err != nil {
		return nil, err
	}
	p := &Provider{
		cfg: cfg, key: key, people: people, clients: clients,
		requests: newRequestStore(cfg.MaxPending, cfg.Interval, people),
		grants:   newGrantStore(cfg.AccessTokenLifetime),
		replays:  newReplayMemory(),
	}
	p.requests.observe, p.grants.observe = p.observe, p.observe
	if cfg.Journal != nil {
		if err := p.restore(cfg.Journal); err != nil {
			return nil, err
		}
		p.requests.journal, p.grants.journal = cfg.Journal.write, cfg.Journal.write
	}
	seams := wrap(stores{grants: p.grants, ciba: cibaStore{p.requests, p.grants}})
	if p.op, err = op.New(p.base(seams), p.options(seams)...); err != nil {
		return nil, fmt.Errorf("assembling the provider: %w", err)
	}
	p.handler = p.op.Handler()
	return p, nil
}

// Issuer returns the issuer identifier.
func (p *Provider) Issuer() string { return p.cfg.Issuer }

// Rotated returns a refresh token of a person that was replaced by another, as a
// thief may have it who copied it in time. Who sends it reveals the theft.
func (p *Provider) Rotated(subject string) (token string, ok bool) { return p.grants.rotated(subject) }

func (p *Provider) observe(e Event) {
	if p.cfg.Observe != nil {
		e.Time = time.Now()
		p.cfg.Observe(e)
	}
}

// options is how go-oidc is configured.
func (p *Provider) options(s stores) []op.Option {
	return append([]op.Option{
		op.WithTokenEndpoint(pathToken),
		op.WithSigner(p.key.signer),
		op.WithStaticClients(p.staticClients()...),
		op.WithSecretBasicAuthn(), op.WithSecretPostAuthn(), op.WithPrivateKeyJWTAuthn(goidc.SigAlgES256, goidc.SigAlgPS256),
		op.WithJTIConsumer(p.replays.consume),
		op.WithScopes(p.scopes()...), op.WithOpenIDScopeRequired(),
		op.WithACRs(p.acrs()...),
		op.WithResourceIndicators([]goidc.ResourceIndicator{p.cfg.Resource}),
		op.WithClaims("name", "email", "email_verified", "phone_number", "auth_time", "acr", "amr"),
		op.WithIDTokenClaims(p.idTokenClaims), op.WithUserInfoClaims(p.userInfoClaims),
		op.WithIDTokenLifetime(int(p.cfg.IDTokenLifetime / time.Second)),
		op.WithTokenOptions(p.tokenOptions),
		op.WithErrorHandler(p.logError),
		op.WithRefreshTokenGrant(p.grants, op.WithRefreshTokenRotation(),
			op.WithRefreshTokenLifetime(int(p.cfg.RefreshTokenLifetime/time.Second)),
			op.WithRefreshTokenShouldIssue(shouldRefresh)),
		op.WithTokenRevocation(func(context.Context, *goidc.Client) bool { return true },
			op.WithTokenRevocationRevokeGrantOnAccessToken()),
	}, p.cibaOption(s))
}

func (p *Provider) base(s stores) op.Config {
	return op.Config{
		Issuer:      p.cfg.Issuer,
		Manager:     s.grants,
		JWKS:        p.key.jwks,
		IDTokenAlgs: []goidc.SignatureAlgorithm{goidc.SigAlgES256},
	}
}

func (p *Provider) cibaOption(s stores) op.Option {
	modes := make([]goidc.CIBATokenDeliveryMode, len(p.cfg.DeliveryModes))
	for i, m := range p.cfg.DeliveryModes {
		modes[i] = goidc.CIBATokenDeliveryMode(m)
	}
	return op.WithCIBAGrant(op.CIBAGrantConfig{Manager: s.ciba, DeliveryModes: modes},
		op.WithCIBAEndpoint(pathCIBA),
		op.WithCIBASessionHandler(p.admit),
		op.WithCIBAPollingInterval(int(p.cfg.Interval/time.Second)),
		op.WithCIBALifetime(int(p.cfg.Lifetime/time.Second)),
		op.WithCIBAHTTPClientFunc(func(context.Context) *http.Client { return p.notifier() }))
}
