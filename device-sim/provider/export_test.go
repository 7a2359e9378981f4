package provider

import (
	"context"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// NewWithLatency is New with a pause after every read of a grant and before
// every write, as a database would have it.
func NewWithLatency(cfg Config, pause func()) (*Provider, error) {
	return assemble(cfg, func(s stores) stores {
		return stores{grants: slowGrants{s.grants, pause}, ciba: slowCIBA{s.ciba, pause}}
	})
}

type slowGrants struct {
	goidc.GrantManager
	pause func()
}

func (s slowGrants) SaveGrant(ctx context.Context, g *goidc.Grant) error {
	s.pause()
	return s.GrantManager.SaveGrant(ctx, g)
}

type slowCIBA struct {
	goidc.CIBAManager
	pause func()
}

func (s slowCIBA) GrantByAuthReqID(ctx context.Context, id string) (*goidc.Grant, error) {
	defer s.pause()
	return s.CIBAManager.GrantByAuthReqID(ctx, id)
}

// Sizes counts what the stores hold: requests, grants, refresh tokens of both
// kinds, client assertions.
func (p *Provider) Sizes() (requests, grants, refresh, replays int) {
	p.requests.mu.Lock()
	defer p.requests.mu.Unlock()
	p.grants.mu.Lock()
	defer p.grants.mu.Unlock()
	p.replays.mu.Lock()
	defer p.replays.mu.Unlock()
	return len(p.requests.byID) + len(p.requests.byAuthReqID), len(p.grants.byID) + len(p.grants.byAuthReqID),
		len(p.grants.byRefresh) + len(p.grants.spent), len(p.replays.seen)
}
