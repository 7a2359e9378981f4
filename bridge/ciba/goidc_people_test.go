package ciba_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// admit is go-oidc's hook for a new request. What it does not check, this does.
func (p *goOIDC) admit(_ context.Context, as *goidc.AuthnSession, c *goidc.Client) error {
	who, _, _ := strings.Cut(as.LoginHint, "@")
	code, known := map[string]string{"anna": "", "bela": "2468"}[who]
	switch {
	case !known:
		return goidc.NewError("unknown_user_id", "nobody of that name")
	case strings.ContainsAny(as.BindingMessage, " \t\r\n"):
		return goidc.NewError("invalid_binding_message", "blanks are not shown")
	case code != "" && as.AuthorizationParameters.UserCode == "":
		return goidc.NewError("missing_user_code", "there is one")
	case code != "" && as.AuthorizationParameters.UserCode != code:
		return goidc.NewError("invalid_user_code", "it is another")
	}
	as.Subject = who
	return nil
}

// decide decides once: go-oidc would issue tokens for a request that was denied
// before.
func (p *goOIDC) decide(t *testing.T, d decision) map[string]any {
	t.Helper()
	p.thumb.Lock()
	defer p.thumb.Unlock()
	as, err := p.store.SessionByAuthReqID(t.Context(), d.AuthReqID)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]any{
		"login_hint": as.LoginHint, "binding_message": as.BindingMessage, "authorization_details": as.AuthDetails,
	}
	switch {
	case as.Status != goidc.StatusPending:
		return shown
	case d.Deny:
		err = p.op.DenyCIBARequest(t.Context(), d.AuthReqID, goidc.NewError(goidc.ErrorCodeAccessDenied, "the person said no"))
	default:
		as.GrantedScopes, as.GrantedAuthDetails, as.GrantedResources = as.Scopes, as.AuthDetails, as.Resources
		as.Store["acr"] = d.ACR
		if err := p.store.SaveSession(t.Context(), as); err != nil {
			t.Fatal(err)
		}
		err = p.op.GrantCIBARequest(t.Context(), d.AuthReqID)
	}
	if err != nil {
		t.Errorf("deciding: %v", err)
	}
	return shown
}

// lapse turns the clock of one request forward.
func (p *goOIDC) lapse(t *testing.T, authReqID string) {
	t.Helper()
	as, err := p.store.SessionByAuthReqID(t.Context(), authReqID)
	if err != nil {
		t.Fatal(err)
	}
	as.ExpiresAt = int(time.Now().Unix())
	if err := p.store.SaveSession(t.Context(), as); err != nil {
		t.Fatal(err)
	}
}

func (p *goOIDC) brief() time.Duration { return time.Minute }
