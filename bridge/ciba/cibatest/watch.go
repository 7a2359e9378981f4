package cibatest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// slowDownStep is what each slow_down adds to the interval (CIBA Core section 11).
const slowDownStep = 5 * time.Second

// watched notes how often token requests come, whoever answers them.
func (p *Provider) watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := p.session(r.PostForm.Get("auth_req_id"))
		if s == nil {
			next.ServeHTTP(w, r)
			return
		}
		early := p.arrive(s)
		defer p.leave(s)
		seen := &pace{ResponseWriter: w}
		next.ServeHTTP(seen, r.WithContext(context.WithValue(r.Context(), earlyKey{}, early)))
		p.heed(s, seen)
	})
}

type earlyKey struct{}

func isEarly(r *http.Request) bool {
	early, _ := r.Context().Value(earlyKey{}).(bool)
	return early
}

func (p *Provider) session(authReqID string) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions[authReqID]
}

// arrive notes a token request and reports whether it is early.
func (p *Provider) arrive(s *session) (early bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	early = now.Before(s.free) || !s.asked.IsZero() && now.Sub(s.asked) < s.interval && !s.pinged
	s.pinged = false
	s.asked, s.free = now, time.Time{}
	s.asking++
	count(&p.stats.Early, early)
	count(&p.stats.Overlapping, s.asking > 1)
	count(&p.stats.AfterEnd, s.ended)
	return early
}

func (p *Provider) leave(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.asking--
}

// heed takes what a client was told for what it must keep to.
func (p *Provider) heed(s *session, said *pace) {
	var answer struct {
		Error    string
		Interval int
	}
	_ = json.Unmarshal(said.body.Bytes(), &answer) // HTML, say
	wait, _ := strconv.Atoi(said.Header().Get("Retry-After"))
	going := []string{"", "authorization_pending", "slow_down", "use_dpop_nonce"}
	p.mu.Lock()
	defer p.mu.Unlock()
	if answer.Error == "slow_down" {
		s.interval += slowDownStep
	}
	s.interval = max(s.interval, time.Duration(answer.Interval)*time.Second)
	s.free = time.Now().Add(time.Duration(wait) * time.Second)
	if final := said.status >= 400 && said.status < 404 && !slices.Contains(going, answer.Error); final {
		s.ended = true
	}
}

// A pace is an answer on its way, of which the beginning is kept.
type pace struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// Unwrap is what [http.ResponseController] looks for.
func (w *pace) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *pace) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *pace) Write(b []byte) (int, error) {
	w.body.Write(b[:min(len(b), max(0, 4096-w.body.Len()))])
	return w.ResponseWriter.Write(b)
}

func count(n *int, yes bool) {
	if yes {
		*n++
	}
}
