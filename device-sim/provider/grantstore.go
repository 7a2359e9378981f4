package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// maxGrants bounds the grants that are kept. Above it, nothing can be approved
// until some expire.
const maxGrants = 1 << 20

// grantStore holds what people have agreed to. go-oidc reads a grant, decides,
// and writes it back without any lock in between; so every read hands out a
// copy with a version, and a write is accepted only for the version that is
// stored. That makes redemption and rotation a compare-and-set: of any number
// of requests that spend the same credential one wins, and since a second
// attempt means that the credential leaked or a client repeats itself, the
// grant is revoked (RFC 9700 section 4.14.2).
type grantStore struct {
	accessLifetime time.Duration
	observe        func(Event)        // never called under mu
	journal        func(record) error // called under mu, before the change

	mu          sync.Mutex
	byID        map[string]*goidc.Grant // stored grants never leave; copies do
	byAuthReqID map[string]string       // values are grant ids
	byRefresh   map[string]string       // current refresh tokens
	spent       map[string]spentToken   // refresh tokens rotated away
	swept       time.Time
}

// spentToken is a refresh token that was rotated away.
type spentToken struct {
	grant string
	until time.Time // when it would have expired
}

func newGrantStore(accessLifetime time.Duration) *grantStore {
	return &grantStore{
		accessLifetime: accessLifetime, journal: func(record) error { return nil },
		byID: map[string]*goidc.Grant{}, byAuthReqID: map[string]string{},
		byRefresh: map[string]string{}, spent: map[string]spentToken{},
	}
}

var (
	// errSpent refuses a credential that was used before.
	errSpent = goidc.NewError(goidc.ErrorCodeInvalidGrant, "this was used before; the grant is revoked")
	// errPush refuses a client that was handed its tokens already.
	errPush = goidc.NewError(goidc.ErrorCodeUnauthorizedClient,
		"a client in push mode must not ask the token endpoint").WithStatusCode(http.StatusForbidden)
)

// SaveGrant is go-oidc's write. It fails with invalid_grant, and revokes the
// grant, if the grant has changed since it was read. A revocation always
// takes effect.
func (s *grantStore) SaveGrant(_ context.Context, g *goidc.Grant) error {
	event, err := s.save(g)
	s.tell(event)
	return err
}

func (s *grantStore) save(g *goidc.Grant) (Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.sweep(now)
	old, ok := s.byID[g.ID]
	var done Event
	if g.AuthReqIDConsumedAt != 0 && (!ok || old.AuthReqIDConsumedAt == 0) {
		done = event(Redeemed, g)
	}
	switch {
	case !ok:
		return done, s.insert(g)
	case version(g) != version(old) && g.RevokedAt != 0:
		return Event{}, s.revoke(old, now, Event{})
	case version(g) != version(old):
		replayed := event(Replayed, old)
		return replayed, cmp.Or(s.revoke(old, now, replayed), error(errSpent))
	}
	if err := s.put(g, old, done); err != nil {
		return done, err
	}
	switch {
	case g.RevokedAt != 0 && old.RevokedAt == 0:
		return event(Revoked, g), nil
	case old.RefreshToken != "" && old.RefreshToken != g.RefreshToken:
		return event(Renewed, g), nil
	}
	return done, nil
}

// rotated returns a refresh token of a person that was rotated away.
func (s *grantStore) rotated(subject string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token, spent := range s.spent {
		if g := s.byID[spent.grant]; g != nil && g.Subject == subject {
			return token, true
		}
	}
	return "", false
}

// insert adds a new grant. There is one per auth_req_id.
func (s *grantStore) insert(g *goidc.Grant) error {
	if _, dup := s.byAuthReqID[g.AuthReqID]; dup || version(g) != 0 {
		return errors.New("there is a grant for this request")
	}
	if len(s.byID) >= maxGrants {
		return fmt.Errorf("%d grants are stored, no more are allowed", maxGrants)
	}
	if err := s.put(g, &goidc.Grant{}, event(Approved, g)); err != nil {
		return err
	}
	s.byAuthReqID[g.AuthReqID] = g.ID
	return nil
}

// put stores a copy of g as the next version and tells g so.
func (s *grantStore) put(g, old *goidc.Grant, e Event) error {
	if g.Store == nil {
		g.Store = map[string]any{}
	}
	g.Store[storeVersion] = version(old) + 1
	if err := s.journal(record{Event: e, Grant: g}); err != nil {
		return err
	}
	s.index(copyGrant(g), old)
	return nil
}

// index makes g the stored grant in the place of old.
func (s *grantStore) index(g, old *goidc.Grant) {
	if old.RefreshToken != "" && old.RefreshToken != g.RefreshToken {
		delete(s.byRefresh, old.RefreshToken)
		s.spent[old.RefreshToken] = spentToken{g.ID, time.Unix(int64(old.RefreshTokenExpiresAt), 0)}
	}
	if g.RefreshToken != "" {
		s.byRefresh[g.RefreshToken] = g.ID
	}
	s.byID[g.ID] = g
}

// revoke makes a stored grant worthless. What cannot be written is revoked all
// the same.
func (s *grantStore) revoke(g *goidc.Grant, now time.Time, why Event) error {
	if g.RevokedAt != 0 {
		return nil
	}
	g.RevokedAt = int(now.Unix())
	g.Store[storeVersion] = version(g) + 1
	return s.journal(record{Event: why, Grant: g})
}

// Grant is go-oidc's read by id.
func (s *grantStore) Grant(_ context.Context, id string) (*goidc.Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read(id)
}

// GrantByRefreshToken is go-oidc's read by refresh token. A token that was
// rotated away is not found, and revokes its grant.
func (s *grantStore) GrantByRefreshToken(_ context.Context, token string) (*goidc.Grant, error) {
	g, event, err := s.byToken(token)
	s.tell(event)
	return g, err
}

func (s *grantStore) byToken(token string) (*goidc.Grant, Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if spent, ok := s.spent[token]; ok {
		if g, ok := s.byID[spent.grant]; ok {
			replayed := event(Replayed, g)
			return nil, replayed, cmp.Or(s.revoke(g, time.Now(), replayed), fmt.Errorf("rotated refresh token: %w", goidc.ErrNotFound))
		}
	}
	g, err := s.read(s.byRefresh[token])
	return g, Event{}, err
}

// GrantByAuthReqID is go-oidc's read by auth_req_id, for the approval and for
// the token request. In the latter it refuses what go-oidc would answer by
// destroying the grant, another client's request, or with the wrong code, a
// spent auth_req_id.
func (s *grantStore) GrantByAuthReqID(ctx context.Context, authReqID string) (*goidc.Grant, error) {
	g, event, err := s.toRedeem(callOf(ctx), authReqID)
	s.tell(event)
	return g, err
}

func (s *grantStore) toRedeem(c *call, authReqID string) (*goidc.Grant, Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.read(s.byAuthReqID[authReqID])
	if err != nil || !c.redeems() {
		return g, Event{}, err
	}
	switch now := time.Now(); {
	case g.ClientID != c.client:
		return nil, Event{}, fmt.Errorf("grant: %w", goidc.ErrNotFound)
	case c.push:
		return nil, Event{}, errPush
	case g.AuthReqIDConsumedAt != 0:
		replayed := event(Replayed, g)
		return nil, replayed, cmp.Or(s.revoke(s.byID[g.ID], now, replayed), error(errSpent))
	case !now.Before(time.Unix(int64(g.AuthReqIDExpiresAt), 0)):
		return nil, Event{}, goidc.NewError(goidc.ErrorCodeExpiredToken, "the auth_req_id has expired")
	}
	return g, Event{}, nil
}

func (s *grantStore) read(id string) (*goidc.Grant, error) {
	if g, ok := s.byID[id]; ok {
		return copyGrant(g), nil
	}
	return nil, fmt.Errorf("grant: %w", goidc.ErrNotFound)
}

func (s *grantStore) exists(authReqID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.byAuthReqID[authReqID]
	return ok
}

// sweep forgets grants that can give nothing any more.
func (s *grantStore) sweep(now time.Time) {
	if now.Sub(s.swept) < sweepEvery {
		return
	}
	s.swept = now
	for id, g := range s.byID {
		if now.After(s.deadline(g)) {
			delete(s.byID, id)
			delete(s.byAuthReqID, g.AuthReqID)
			delete(s.byRefresh, g.RefreshToken)
		}
	}
	maps.DeleteFunc(s.spent, func(_ string, t spentToken) bool {
		return now.After(t.until) || s.byID[t.grant] == nil
	})
}

// deadline is when a grant has lost its last use: the auth_req_id can no more
// be redeemed, the refresh token is over, and so is the youngest access token.
func (s *grantStore) deadline(g *goidc.Grant) time.Time {
	redeemable := time.Unix(int64(g.AuthReqIDExpiresAt), 0)
	latest := redeemable.Add(max(linger, s.accessLifetime))
	if refresh := time.Unix(int64(g.RefreshTokenExpiresAt), 0); g.RefreshToken != "" && g.RevokedAt == 0 && refresh.After(latest) {
		latest = refresh.Add(s.accessLifetime)
	}
	return latest
}

func version(g *goidc.Grant) int {
	v, _ := g.Store[storeVersion].(int)
	return v
}

// copyGrant copies what go-oidc changes in a grant; the rest is read only.
func copyGrant(g *goidc.Grant) *goidc.Grant {
	c := *g
	c.Store = maps.Clone(g.Store)
	return &c
}

// tell passes on an event, if there is one.
func (s *grantStore) tell(e Event) {
	if e.Kind != "" {
		s.observe(e)
	}
}

func event(kind EventKind, g *goidc.Grant) Event {
	id, _ := g.Store[storeRequestID].(string)
	return Event{Kind: kind, RequestID: id, ClientID: g.ClientID, Subject: g.Subject}
}
