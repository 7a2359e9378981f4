package ciba_test

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// A goOIDCStore is where go-oidc keeps requests and what people have agreed to.
// It reads a grant, decides, and writes it back without any lock in between, so
// a write is accepted only for what was read: of several requests that spend the
// same credential one wins.
type goOIDCStore struct {
	mu       sync.Mutex
	sessions map[string]goidc.AuthnSession // by auth_req_id
	grants   map[string]goidc.Grant        // by id
	spent    map[string]string             // refresh tokens that were rotated away, to grants
	jtis     map[string]bool
}

func newGoOIDCStore() *goOIDCStore {
	return &goOIDCStore{
		sessions: map[string]goidc.AuthnSession{}, grants: map[string]goidc.Grant{},
		spent: map[string]string{}, jtis: map[string]bool{},
	}
}

// callerKey is where the guard puts the name of the client that asks.
type callerKey struct{}

var errGoOIDCSpent = goidc.NewError(goidc.ErrorCodeInvalidGrant, "this was used before")

func (s *goOIDCStore) SaveSession(_ context.Context, as *goidc.AuthnSession) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[as.AuthReqID] = *as
	return nil
}

func (s *goOIDCStore) SessionByAuthReqID(_ context.Context, id string) (*goidc.AuthnSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	as, ok := s.sessions[id]
	if !ok {
		return nil, goidc.ErrNotFound
	}
	as.Store = maps.Clone(as.Store)
	return &as, nil
}

func (s *goOIDCStore) Session(_ context.Context, id string) (*goidc.AuthnSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, as := range s.sessions {
		if as.ID == id {
			return &as, nil
		}
	}
	return nil, goidc.ErrNotFound
}

const versionKey = "version"

func (s *goOIDCStore) SaveGrant(_ context.Context, g *goidc.Grant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.grants[g.ID]
	if ok && old.Store[versionKey] != g.Store[versionKey] && g.RevokedAt == 0 {
		s.revoke(old)
		return errGoOIDCSpent
	}
	if ok && old.RefreshToken != g.RefreshToken {
		s.spent[old.RefreshToken] = g.ID
	}
	version, _ := old.Store[versionKey].(int)
	g.Store = maps.Clone(g.Store)
	if g.Store == nil {
		g.Store = map[string]any{}
	}
	g.Store[versionKey] = version + 1
	s.grants[g.ID] = *g
	return nil
}

func (s *goOIDCStore) revoke(g goidc.Grant) {
	g.RevokedAt = int(time.Now().Unix())
	s.grants[g.ID] = g
}

func (s *goOIDCStore) Grant(_ context.Context, id string) (*goidc.Grant, error) {
	return s.find(func(g *goidc.Grant) bool { return g.ID == id })
}

// GrantByAuthReqID keeps the grant from a client that is not its own: go-oidc
// would revoke it for that.
func (s *goOIDCStore) GrantByAuthReqID(ctx context.Context, id string) (*goidc.Grant, error) {
	caller, asked := ctx.Value(callerKey{}).(string)
	return s.find(func(g *goidc.Grant) bool {
		return g.AuthReqID == id && (!asked || caller == g.ClientID)
	})
}

// GrantByRefreshToken revokes what a spent refresh token belongs to.
func (s *goOIDCStore) GrantByRefreshToken(_ context.Context, token string) (*goidc.Grant, error) {
	s.mu.Lock()
	if id, ok := s.spent[token]; ok {
		s.revoke(s.grants[id])
	}
	s.mu.Unlock()
	return s.find(func(g *goidc.Grant) bool { return token != "" && g.RefreshToken == token })
}

func (s *goOIDCStore) find(match func(*goidc.Grant) bool) (*goidc.Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.grants {
		if match(&g) {
			g.Store = maps.Clone(g.Store)
			return &g, nil
		}
	}
	return nil, goidc.ErrNotFound
}

// consume refuses a jti that was used before.
func (s *goOIDCStore) consume(_ context.Context, jti string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jtis[jti] {
		return errGoOIDCSpent
	}
	s.jtis[jti] = true
	return nil
}
