package agent

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/schemas"
)

// A fetch that failed for the moment is repeated after firstFetch, doubling to
// lastFetch, until the token expires.
const (
	firstFetch = 3 * time.Second
	lastFetch  = 5 * time.Minute
)

// fetch begins to fetch the settings of a session.
func (a *Agent) fetch(id schemas.ID, l *live) {
	s := a.state.session(id)
	if s == nil || s.Token == nil || !a.appliesTo(s.Seat) {
		return
	}
	ctx, cancel := context.WithCancel(a.life)
	l.cancel = cancel
	l.tries++
	token := settings.Token{Access: s.Token, Type: s.TokenType}
	a.workers.Go(func() {
		defer cancel()
		doc, err := a.cfg.Settings.Fetch(ctx, token)
		a.result(ctx, func() { a.fetched(id, doc, err) })
	})
}

// fetched takes what a fetch has brought.
func (a *Agent) fetched(id schemas.ID, doc settings.Document, err error) {
	s, l := a.state.session(id), a.live[id]
	if s == nil || l == nil {
		return
	}
	l.cancel = nil
	if answer, ok := errors.AsType[*settings.AnswerError](err); ok && answer.Status == http.StatusNotFound {
		doc, err = settings.Document{}, nil // nothing is stored for this person
	}
	if err == nil {
		var plan settings.Plan
		if plan, err = settings.NewPlan(doc, s.Scope, s.Seat, a.cfg.Catalog); err == nil {
			a.apply(id, s.Seat, plan)
			return
		}
	}
	if answer, ok := errors.AsType[*settings.AnswerError](err); ok && answer.Status == http.StatusUnauthorized && s.Renewable && !l.spurned {
		a.spurned(id, l, err)
		return
	}
	if l.tries == 1 {
		a.restore(s.Seat) // of who sat there before
	}
	if wait, ok := retry(err, l.tries); ok {
		a.log.Warn("no settings yet", "session", id, "error", err, "again_in", wait.Round(time.Second))
		l.due = time.Now().Add(wait)
		a.revise(id, func(s *session) { s.Problem = err.Error() })
		return
	}
	a.log.Error("no settings", "session", id, "error", err)
	a.revise(id, func(s *session) { s.Settings, s.Problem = SettingsFailed, err.Error() })
}

// spurned asks for another token where this one is not taken, though it has not
// expired here: the machine was suspended, or somebody has revoked it.
func (a *Agent) spurned(id schemas.ID, l *live, err error) {
	a.log.Warn("the token is not taken, asking for another", "session", id, "error", err)
	l.spurned, l.renewal = true, time.Now()
	a.revise(id, func(s *session) { s.Problem = err.Error() })
}

// retry says when to fetch again, if that can help.
func retry(err error, tries int) (time.Duration, bool) {
	wait := lastFetch
	if tries < 8 {
		wait = min(firstFetch<<(tries-1), lastFetch)
	}
	if answer, ok := errors.AsType[*settings.AnswerError](err); ok {
		return max(wait, answer.RetryAfter), answer.Temporary()
	}
	_, network := errors.AsType[*settings.NetworkError](err)
	return wait, network
}
