package provider

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// Keys of what travels in the Store of a session and then of its grant.
const (
	storeRequest   = "request"    // Request, until the decision
	storeRequestID = "request_id" // string, from the approval on
	storeAMR       = "amr"        // []string
	storeACR       = "acr"        // string
	storeAuthTime  = "auth_time"  // int64, Unix seconds
	storeVersion   = "version"    // int, counts the writes of a grant
)

// idTokenClaims adds how and when the person was recognised, as fixed at the
// approval: a refreshed ID token repeats the original auth_time (OpenID
// Connect Core section 12.2).
func (p *Provider) idTokenClaims(_ context.Context, g *goidc.Grant) map[string]any {
	claims := p.userInfoClaims(context.Background(), g)
	for claim, key := range map[string]string{
		goidc.ClaimAuthTime: storeAuthTime, goidc.ClaimACR: storeACR, goidc.ClaimAMR: storeAMR,
	} {
		claims[claim] = g.Store[key]
	}
	return claims
}

// userInfoClaims tells about the person what the scopes allow (OpenID Connect
// Core section 5.4).
func (p *Provider) userInfoClaims(_ context.Context, g *goidc.Grant) map[string]any {
	person, scopes := p.people.bySubject[g.Subject], strings.Fields(g.Scopes)
	claims := map[string]any{}
	if slices.Contains(scopes, "profile") {
		claims[goidc.ClaimName] = person.Name
	}
	if slices.Contains(scopes, "email") {
		claims[goidc.ClaimEmail], claims[goidc.ClaimEmailVerified] = person.Email, true
	}
	if slices.Contains(scopes, "phone") && person.Phone != "" {
		claims[goidc.ClaimPhoneNumber] = person.Phone
	}
	return claims
}

// tokenOptions makes every access token a JWT of RFC 9068, signed with ES256.
func (p *Provider) tokenOptions(context.Context, *goidc.Grant, *goidc.Client) goidc.TokenOptions {
	return goidc.NewJWTTokenOptions(goidc.SigAlgES256, int(p.cfg.AccessTokenLifetime/time.Second))
}

// shouldRefresh gives a refresh token to whom the person allowed to stay.
func shouldRefresh(_ context.Context, _ *goidc.Client, g *goidc.Grant) bool {
	return slices.Contains(strings.Fields(g.Scopes), "offline_access")
}
