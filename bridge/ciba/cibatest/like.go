package cibatest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

// A refusal is an error answer; nil is none.
type refusal struct {
	status            int
	code, description string
	retryAfter        time.Duration
}

func (r *refusal) reply(w http.ResponseWriter) {
	setRetryAfter(w, r.retryAfter)
	reply(w, r.status, map[string]any{"error": r.code, "error_description": r.description})
}

func bad(code, description string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: code, description: description}
}

// allows reports whether a list of a profile has s; nil has everything.
func allows(list []string, s string) bool { return list == nil || slices.Contains(list, s) }

// dislikes says what in an authentication request the provider that this one is
// like does not take.
func (p *Provider) dislikes(form url.Values) *refusal {
	like := p.Like
	for _, hint := range []string{profile.LoginHint, profile.LoginHintToken, profile.IDTokenHint} {
		if form.Has(hint) && !allows(like.Hints.Kinds, hint) {
			return bad("invalid_request", "hint of another kind")
		}
	}
	for _, target := range []string{profile.Resource, profile.Audience} {
		if form.Has(target) && !allows(like.Parameters.Target, target) {
			return bad("invalid_target", "no "+target)
		}
	}
	message, detailed := form.Get("binding_message"), form.Has("authorization_details")
	switch {
	case form.Has("user_code") && like.Parameters.UserCode == profile.No:
		return bad("invalid_request", "user code not supported")
	case detailed && like.Parameters.Details == profile.No:
		return bad("invalid_authorization_details", "not supported")
	case like.FAPI && message == "" && !detailed:
		return bad("invalid_request", "nothing to recognise the request by")
	}
	if err := like.Binding.Check(message); err != nil {
		return bad("invalid_binding_message", "the binding message "+err.Error())
	}
	return nil
}

// subject returns whom the one hint means.
func (p *Provider) subject(form url.Values, hint string) (string, *refusal) {
	if p.Like.Hints.Format == profile.IssSub && form.Has(profile.LoginHint) {
		sub, ok := p.issSub(hint)
		if !ok {
			return "", bad("invalid_request", "login_hint has another format")
		}
		hint = sub
	}
	if p.Subject == nil {
		return hint, nil
	}
	sub, known := p.Subject(hint)
	if !known {
		answer := p.Like.Hints.Unknown
		return "", bad(cmp.Or(answer.Code, "unknown_user_id"), cmp.Or(answer.Description, "cibatest says unknown_user_id"))
	}
	return sub, nil
}

// issSub returns the subject of a login hint, which must be of this issuer with a
// slash at its end.
func (p *Provider) issSub(hint string) (string, bool) {
	var members map[string]string
	if json.Unmarshal([]byte(hint), &members) != nil || len(members) != 3 {
		return "", false
	}
	issuer := strings.TrimSuffix(p.IssuerURL(), "/") + "/"
	return members["sub"], members["format"] == string(profile.IssSub) && members["iss"] == issuer && members["sub"] != ""
}

// expiry returns how long a request is to live, and how long the client is told
// that it does.
func (p *Provider) expiry(form url.Values) (lives, told time.Duration, refused *refusal) {
	like := p.Like.Expiry
	own := orElse(p.Lifetime, orElse(like.Default, 120*time.Second))
	text := form.Get(cmp.Or(like.Parameter, "requested_expiry"))
	if text == "" {
		return own, own, nil
	}
	seconds, err := strconv.Atoi(text)
	asked := time.Duration(seconds) * time.Second
	switch {
	case err != nil || asked <= 0 || like.Longest > 0 && asked > like.Longest:
		return 0, 0, bad("invalid_request", "not an expiry")
	case like.OnlyShortens:
		asked = min(asked, own)
	}
	if like.Unsaid {
		return asked, own, nil
	}
	return asked, asked, nil
}

// rings reports whether a request that lives so long makes the phone ring.
func (p *Provider) rings(lives time.Duration) bool {
	push := p.Like.Expiry.Push
	return push == 0 || lives <= push
}

// throttle counts a request, and refuses what is beyond the limits of the
// provider that this one is like.
func (p *Provider) throttle(subject string) *refusal {
	limits, now := p.Like.Limits, time.Now()
	if limits.PerMinute == 0 && limits.PerPerson == 0 && limits.Pending == 0 {
		return nil // and benchmarks need not pay for counting
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent = slices.DeleteFunc(p.recent, func(r arrival) bool { return now.Sub(r.at) > time.Minute })
	same, pending := 0, 0
	for _, r := range p.recent {
		count(&same, r.subject == subject)
	}
	for _, s := range p.sessions {
		count(&pending, s.now() == statusPending)
	}
	over := func(n, limit int) bool { return limit > 0 && n >= limit }
	if over(len(p.recent), limits.PerMinute) || over(same, limits.PerPerson) || over(pending, limits.Pending) {
		p.stats.Throttled++
		return &refusal{http.StatusTooManyRequests, "too_many_requests", "later", time.Minute}
	}
	p.recent = append(p.recent, arrival{now, subject})
	return nil
}

// An arrival is an authentication request of the last minute.
type arrival struct {
	at      time.Time
	subject string
}

// slows reports whether a token request that comes too early is told so.
func (p *Provider) slows() bool {
	return (p.SlowDown || p.Like.Name != "") && !p.Like.Polling.NeverSlow
}

// replySlowDown says slow_down, and what else the provider says that this one is
// like. That the interval is longer from now on is for who watches the answers.
func (p *Provider) replySlowDown(w http.ResponseWriter, s *session) {
	p.mu.Lock()
	interval := s.interval + slowDownStep
	p.mu.Unlock()
	m := map[string]any{"error": "slow_down", "error_description": "cibatest says slow_down"}
	if p.Like.Polling.Interval {
		m["interval"] = int(interval / time.Second)
	}
	if p.Like.Polling.RetryAfter {
		setRetryAfter(w, interval)
	}
	reply(w, http.StatusBadRequest, m)
}
