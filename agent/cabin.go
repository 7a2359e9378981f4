package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/schemas"
)

// settleEvery is how often it is tried to set what was held back.
const settleEvery = 2 * time.Second

// A fetch that failed for the moment is repeated after firstFetch, doubling to
// lastFetch, until the token expires.
const (
	firstFetch = 3 * time.Second
	lastFetch  = 5 * time.Minute
)

// cabin runs what the vehicle takes time for, one thing after the other.
type cabin struct {
	agent *Agent
	seats *settings.Cabin // owned by work
	jobs  *queue[func(context.Context)]
}

// newCabin returns nil where there is no vehicle.
func newCabin(a *Agent, records map[string][]byte) *cabin {
	if a.cfg.Vehicle == nil {
		return nil
	}
	return &cabin{
		agent: a,
		seats: settings.NewCabin(a.cfg.Vehicle, a.cfg.Catalog, a.cfg.Store, records, a.log),
		jobs:  newQueue[func(context.Context)](64),
	}
}

func (c *cabin) work(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Stop()
		if c.seats.Waits() {
			timer.Reset(settleEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-c.jobs.wake:
			for job, ok := c.jobs.take(); ok && ctx.Err() == nil; job, ok = c.jobs.take() {
				job(ctx)
			}
		case <-timer.C:
			for seat, report := range c.seats.Settle(ctx) {
				c.agent.result(ctx, func() { c.agent.settled(seat, report) })
			}
		}
	}
}

func (c *cabin) do(job func(context.Context)) {
	if !c.jobs.put(job) {
		c.agent.log.Error("the vehicle takes settings too slowly: some are left as they are")
	}
}

// guestPlan is what a seat is set to while nobody is signed in on it. The
// values have been checked by New.
func (a *Agent) guestPlan(seat schemas.Seat) settings.Plan {
	p, err := settings.NewPlan(settings.Document{Values: a.cfg.Guest}, everyScope, seat, a.cfg.Catalog)
	if err != nil {
		return settings.Plan{}
	}
	return p
}

const everyScope = "seat climate mirrors light media"

// appliesTo reports whether the settings of who sits there can be applied.
func (a *Agent) appliesTo(seat schemas.Seat) bool {
	return a.cabin != nil && a.cfg.Settings != nil && seat != 0
}

// restore brings back what a seat was set to before anybody's settings.
func (a *Agent) restore(seat schemas.Seat) {
	if a.cabin == nil || seat == 0 {
		return
	}
	plan := a.guestPlan(seat)
	a.cabin.do(func(ctx context.Context) { a.cabin.restore(ctx, seat, plan) })
}

func (c *cabin) restore(ctx context.Context, seat schemas.Seat, p settings.Plan) {
	report, err := c.seats.Restore(ctx, seat, p)
	if ctx.Err() != nil {
		return // the next start goes on
	}
	e := &Seat{Seat: seat, Held: report.Held}
	if err != nil {
		c.agent.log.Error("a seat is not as it was before, trying again", "seat", seat, "error", err, "held", len(report.Held))
		e.Problem = err.Error()
	}
	c.agent.hub.emit(Event{Seat: e})
}

// resume goes on with what the last life left.
func (a *Agent) resume() {
	now := time.Now()
	for i := range a.state.Sessions {
		s := &a.state.Sessions[i]
		a.live[schemas.ID(s.ID)] = a.enliven(s, now)
	}
	if a.cabin == nil {
		return
	}
	seats := map[schemas.Seat]bool{}
	for _, seat := range a.cabin.seats.Seats() {
		seats[seat] = true
	}
	if a.cfg.Guest != nil && a.cfg.Device == schemas.Car {
		seats[1] = true
	}
	for seat := range seats {
		if a.state.seat(seat) == nil {
			a.restore(seat)
		}
	}
}

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

// apply sets a seat to a plan.
func (a *Agent) apply(id schemas.ID, seat schemas.Seat, p settings.Plan) {
	guest := a.guestPlan(seat)
	a.cabin.do(func(ctx context.Context) {
		report, err := a.cabin.seats.Apply(ctx, seat, p)
		if err != nil {
			a.cabin.restore(ctx, seat, guest)
		}
		report.Skipped = append(p.Skipped, report.Skipped...)
		a.result(ctx, func() { a.applied(id, report, err) })
	})
}

func (a *Agent) applied(id schemas.ID, r settings.Report, err error) {
	if err != nil {
		a.log.Error("the vehicle does not take the settings", "session", id, "error", err)
		a.revise(id, func(s *session) {
			s.Settings, s.Problem, s.Report = SettingsFailed, err.Error(), settings.Report{}
		})
		return
	}
	a.log.Info("settings applied", "session", id, "applied", len(r.Applied), "held", len(r.Held), "skipped", len(r.Skipped))
	a.revise(id, func(s *session) {
		s.Settings, s.Problem, s.Report = SettingsApplied, "", r
		switch {
		case len(r.Held) > 0:
			s.Settings = SettingsHeld
		case len(r.Applied) == 0:
			s.Settings = SettingsNone
		}
	})
}

// settled takes what the vehicle has taken after all.
func (a *Agent) settled(seat schemas.Seat, r settings.Report) {
	s := a.state.seat(seat)
	if s == nil {
		a.emit(Event{Seat: &Seat{Seat: seat, Held: r.Held}})
		return
	}
	if s.Settings != SettingsHeld {
		return
	}
	a.log.Info("settings applied that had been held", "seat", seat, "applied", len(r.Applied), "held", len(r.Held))
	a.revise(schemas.ID(s.ID), func(s *session) {
		s.Report.Applied = append(append([]string(nil), s.Report.Applied...), r.Applied...)
		s.Report.Held = r.Held
		if len(r.Held) == 0 {
			s.Settings = SettingsApplied
		}
	})
}

// checkGuest refuses a guest profile that could not be applied.
func checkGuest(cfg Config) error {
	if _, err := settings.NewPlan(settings.Document{Values: cfg.Guest}, everyScope, 1, cfg.Catalog); err != nil {
		return fmt.Errorf("guest profile: %w", err)
	}
	return nil
}
