package cibatest

import (
	"net/http"
	"strings"
)

// Secrets returns all that has passed between client and provider and belongs in
// no log: tokens and their parts, auth_req_ids, hints, binding messages, and what
// proves the client. Very short values are left out.
func (p *Provider) Secrets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.secrets...)
}

func (p *Provider) note(values ...string) {
	const least = 5
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range values {
		if len(v) >= least {
			p.secrets = append(p.secrets, v)
		}
	}
}

// noteRequest notes what a client sends. The credentials of HTTP basic
// authentication are noted as they are sent and as they are meant.
func (p *Provider) noteRequest(r *http.Request) {
	for _, name := range []string{
		"login_hint", "login_hint_token", "id_token_hint", "binding_message", "user_code", "request",
		"client_notification_token", "client_secret", "client_assertion", "auth_req_id", "refresh_token", "token",
	} {
		p.note(r.PostForm[name]...)
	}
	_, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	_, secret, _ := r.BasicAuth()
	p.note(credentials)
	if secret != ClientSecret { // which is an ordinary word
		p.note(secret)
	}
}

func (p *Provider) noteTokens(m map[string]any) {
	p.noteMembers(m, "access_token", "refresh_token", "id_token")
	if id, ok := m["id_token"].(string); ok {
		p.note(strings.Split(id, ".")...)
	}
}

func (p *Provider) noteMembers(m map[string]any, names ...string) {
	for _, name := range names {
		if s, ok := m[name].(string); ok {
			p.note(s)
		}
	}
}
