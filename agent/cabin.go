package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/schemas"
)

// settleEvery is how often it is tried to set what was held back.
const settleEvery = 2 * time.Second

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
