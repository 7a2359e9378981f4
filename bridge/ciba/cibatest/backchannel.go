package cibatest

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Request is an authentication request that was accepted.
type Request struct {
	// AuthReqID names it.
	AuthReqID string
	// Hint is the one hint, of whichever kind.
	Hint string
	// Subject is the person that it names.
	Subject string
	// Scope and BindingMessage are what the phone shows.
	Scope, BindingMessage string
	// Params are all parameters, without credentials. Those of a signed request are
	// its claims.
	Params url.Values
}

type status int

const (
	statusPending status = iota
	statusApproved
	statusDenied
	statusExpired
	statusRedeemed
)

// A session is a request and what became of it. Provider.mu guards it.
type session struct {
	Request
	status   status
	approved time.Time     // when AutoApprove approves; zero for never
	lives    time.Duration // from its arrival until expires
	expires  time.Time     //
	interval time.Duration //
	asked    time.Time     // when the latest token request came
	free     time.Time     // Retry-After of its answer
	asking   int           // token requests being answered
	ended    bool          // a final answer was given
	pinged   bool          // the client was told to ask, and has not yet
	decided  chan struct{} // closed with the first decision
}

func (p *Provider) serveBackchannel(w http.ResponseWriter, r *http.Request) {
	if !p.authenticated(w, r) {
		return
	}
	form, ok := p.parameters(r.PostForm)
	if !ok {
		replyError(w, http.StatusBadRequest, "invalid_request")
		return
	}
	s, told, refused := p.accept(form)
	if refused != nil {
		refused.reply(w)
		return
	}
	if p.OnRequest != nil && p.rings(s.lives) {
		p.OnRequest(s.Request)
	}
	m := p.acknowledgement(s, told)
	edit(p.EditAck, m)
	p.noteMembers(m, "auth_req_id")
	reply(w, http.StatusOK, m)
}

// accept opens a session for a request, or says what is wrong with it. It also
// returns how long the client is told that the session lives.
func (p *Provider) accept(form url.Values) (*session, time.Duration, *refusal) {
	hints := slices.Concat(form["login_hint"], form["login_hint_token"], form["id_token_hint"])
	switch {
	case !p.goodNotificationToken(form.Get("client_notification_token")):
		return nil, 0, bad("invalid_request", "client_notification_token")
	case len(hints) != 1:
		return nil, 0, bad("invalid_request", "want one hint")
	case !slices.Contains(strings.Fields(form.Get("scope")), "openid"):
		return nil, 0, bad("invalid_scope", "openid is missing")
	}
	if refused := p.dislikes(form); refused != nil {
		return nil, 0, refused
	}
	lives, told, refused := p.expiry(form)
	if refused != nil {
		return nil, 0, refused
	}
	subject, refused := p.subject(form, hints[0])
	if refused == nil {
		refused = p.throttle(subject)
	}
	if refused != nil {
		return nil, 0, refused
	}
	return p.open(form, hints[0], subject, lives), told, nil
}

func (p *Provider) acknowledgement(s *session, told time.Duration) map[string]any {
	m := map[string]any{
		"auth_req_id": s.AuthReqID,
		"expires_in":  int(told / time.Second),
		"interval":    int(s.interval / time.Second),
	}
	if p.Delivery == "push" {
		delete(m, "interval")
	}
	return m
}

func (p *Provider) open(params url.Values, hint, subject string, lives time.Duration) *session {
	now := time.Now()
	s := &session{
		Request: Request{
			AuthReqID:      rand.Text() + "." + rand.Text(),
			Hint:           hint,
			Subject:        subject,
			Scope:          params.Get("scope"),
			BindingMessage: params.Get("binding_message"),
			Params:         params,
		},
		lives:    lives,
		expires:  now.Add(lives),
		interval: orElse(p.Interval, 5*time.Second),
		decided:  make(chan struct{}),
	}
	if p.AutoApprove > 0 && p.notifies() {
		time.AfterFunc(p.AutoApprove, func() { p.Approve(s.AuthReqID) })
	} else if p.AutoApprove > 0 {
		s.approved = now.Add(p.AutoApprove)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sessions == nil {
		p.sessions = make(map[string]*session)
	}
	p.sessions[s.AuthReqID] = s
	count(&p.stats.Rang, p.rings(lives))
	count(&p.stats.Mailed, !p.rings(lives))
	return s
}

// Requests returns all accepted requests that nobody has decided and that have
// not expired.
func (p *Provider) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var pending []Request
	for _, s := range p.sessions {
		if s.now() == statusPending {
			pending = append(pending, s.Request)
		}
	}
	return pending
}

// Approve lets the person agree. It reports whether the request was pending.
func (p *Provider) Approve(authReqID string) bool { return p.decide(authReqID, statusApproved) }

// Deny lets the person refuse. It reports whether the request was pending.
func (p *Provider) Deny(authReqID string) bool { return p.decide(authReqID, statusDenied) }

// Expire ends the time of a request. It reports whether the request was pending.
func (p *Provider) Expire(authReqID string) bool { return p.decide(authReqID, statusExpired) }

func (p *Provider) decide(authReqID string, to status) bool {
	s := p.settle(authReqID, to)
	if s == nil {
		return false
	}
	if p.notifies() {
		p.notify(s, to)
	}
	return true
}

// settle returns the session if it was pending.
func (p *Provider) settle(authReqID string, to status) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sessions[authReqID]
	if s == nil || s.now() != statusPending {
		return nil
	}
	s.status = to
	close(s.decided)
	return s
}

// now returns the status, which time may have changed.
func (s *session) now() status {
	now := time.Now()
	switch {
	case s.status != statusPending:
		return s.status
	case !s.approved.IsZero() && !now.Before(s.approved) && s.approved.Before(s.expires):
		return statusApproved
	case !now.Before(s.expires):
		return statusExpired
	default:
		return statusPending
	}
}
