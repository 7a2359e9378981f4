package cibatest

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A grant is what a person agreed to, and all refresh tokens stand for.
// Provider.mu guards it.
type grant struct {
	request Request
	revoked bool
}

// A refreshToken is one of a grant. Provider.mu guards it.
type refreshToken struct {
	*grant
	used bool // and replaced
}

func (p *Provider) issueRefresh(g *grant) string {
	token := rand.Text() + rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refresh == nil {
		p.refresh = make(map[string]*refreshToken)
	}
	p.refresh[token] = &refreshToken{grant: g}
	return token
}

func (p *Provider) serveRefresh(w http.ResponseWriter, form url.Values) {
	old := form.Get("refresh_token")
	g := p.useRefresh(old)
	if g == nil {
		replyError(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	scope := orElse(form.Get("scope"), g.request.Scope)
	for _, s := range strings.Fields(scope) {
		if !slices.Contains(strings.Fields(g.request.Scope), s) {
			replyError(w, http.StatusBadRequest, "invalid_scope")
			return
		}
	}
	access, current := rand.Text()+rand.Text(), old
	m := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "scope": scope}
	if p.RotateRefreshTokens {
		current = p.issueRefresh(g)
		m["refresh_token"] = current
	}
	if !p.RefreshWithoutIDToken {
		m["id_token"] = p.idToken(g.request, access, current)
	}
	edit(p.EditTokens, m)
	p.noteTokens(m)
	reply(w, http.StatusOK, m)
}

// useRefresh returns the grant of a token that is good.
func (p *Provider) useRefresh(token string) *grant {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.refresh[token]
	if t == nil || t.revoked {
		return nil
	}
	if t.used {
		t.revoked = true // stolen, it seems
		return nil
	}
	t.used = p.RotateRefreshTokens
	p.stats.Refreshed++
	return t.grant
}

// serveRevocation forgets a refresh token and its grant, and does not tell
// whether it knew it (RFC 7009 section 2.2).
func (p *Provider) serveRevocation(w http.ResponseWriter, r *http.Request) {
	if !p.authenticated(w, r) {
		return
	}
	if r.PostForm.Get("token") == "" {
		replyError(w, http.StatusBadRequest, "invalid_request")
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.refresh[r.PostForm.Get("token")]; t != nil {
		t.revoked = true
	}
	w.WriteHeader(http.StatusOK)
}
