package cibatest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	if !p.authenticated(w, r) {
		return
	}
	if r.PostForm.Get("grant_type") == "refresh_token" {
		p.serveRefresh(w, r.PostForm)
		return
	}
	if r.PostForm.Get("grant_type") != "urn:openid:params:grant-type:ciba" {
		replyError(w, http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	if p.Delivery == "push" {
		replyError(w, http.StatusForbidden, "unauthorized_client")
		return
	}
	s := p.session(r.PostForm.Get("auth_req_id"))
	if s == nil {
		replyError(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	early := isEarly(r)
	if p.LongPoll > 0 && !early && !p.Like.Polling.AtOnce {
		p.hold(r.Context(), s)
	}
	status := p.conclude(s)
	switch {
	case status == statusPending && early && p.slows():
		p.replySlowDown(w, s)
	case status == statusPending:
		replyError(w, http.StatusBadRequest, "authorization_pending")
	case status == statusDenied, status == statusExpired && p.Like.Polling.ExpiredAsDenied:
		replyError(w, http.StatusBadRequest, "access_denied")
	case status == statusExpired:
		replyError(w, http.StatusBadRequest, "expired_token")
	case status == statusRedeemed:
		replyError(w, http.StatusBadRequest, "invalid_grant")
	default:
		p.replyTokens(w, s.Request)
	}
}

// conclude returns the status that the answer has to tell, and redeems an
// approved request.
func (p *Provider) conclude(s *session) status {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := s.now()
	if now == statusPending {
		return now
	}
	s.ended = true
	if now == statusApproved {
		p.stats.Redeemed++
		if !p.RepeatTokens {
			s.status = statusRedeemed
		}
	}
	return now
}

// hold waits for a decision or the end of the long poll.
func (p *Provider) hold(ctx context.Context, s *session) {
	wait := min(p.LongPoll, time.Until(s.expires))
	if !s.approved.IsZero() {
		wait = min(wait, time.Until(s.approved))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.decided:
	case <-ctx.Done():
	}
}

func (p *Provider) replyTokens(w http.ResponseWriter, r Request) {
	reply(w, http.StatusOK, p.tokens(r))
}

func (p *Provider) tokens(r Request) map[string]any {
	access, refresh := rand.Text()+rand.Text(), ""
	m := map[string]any{
		"access_token": access,
		"token_type":   "Bearer",
		"expires_in":   300,
		"scope":        r.Scope,
	}
	if p.RefreshTokens {
		refresh = p.issueRefresh(&grant{request: r})
		m["refresh_token"] = refresh
	}
	if details := r.Params.Get("authorization_details"); details != "" && p.Like.Parameters.Details == profile.Yes {
		m["authorization_details"] = json.RawMessage(details)
	}
	m["id_token"] = p.idToken(r, access, refresh)
	edit(p.EditTokens, m)
	p.noteTokens(m)
	return m
}
