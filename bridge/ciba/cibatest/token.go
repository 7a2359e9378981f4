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
	s, early := p.arrive(r.PostForm.Get("auth_req_id"))
	if s == nil {
		replyError(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	defer p.leave(s)
	if p.LongPoll > 0 && !early && !p.Like.Polling.AtOnce {
		p.hold(r.Context(), s)
	}
	status := p.conclude(s)
	switch {
	case status == statusPending && early && p.slows():
		p.replySlowDown(w, p.lengthen(s))
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

// arrive notes a token request and reports whether it is early.
func (p *Provider) arrive(authReqID string) (s *session, early bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s = p.sessions[authReqID]
	if s == nil {
		return nil, false
	}
	now := time.Now()
	early = !s.asked.IsZero() && now.Sub(s.asked) < s.interval && !s.pinged
	s.pinged = false
	s.asked = now
	s.asking++
	count(&p.stats.Early, early)
	count(&p.stats.Overlapping, s.asking > 1)
	count(&p.stats.AfterEnd, s.ended)
	return s, early
}

func (p *Provider) leave(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.asking--
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

// lengthen returns the new interval.
func (p *Provider) lengthen(s *session) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.interval += 5 * time.Second
	return s.interval
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
	return m
}

func count(n *int, yes bool) {
	if yes {
		*n++
	}
}
