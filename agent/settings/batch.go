package settings

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/schemas"
)

// A batch is what one call does to one seat.
type batch struct {
	journal journal // as it is to be while the steps run
	steps   []step  // by path
	skipped []Skip
}

type step struct {
	path     string
	from, to vehicle.Value
	release  bool // to is what was there before: the path is nobody's afterwards
	held     bool // not done
}

// prepare reads what is there and decides what to do, touching nothing.
func (c *Cabin) prepare(ctx context.Context, seat schemas.Seat, p Plan) (batch, error) {
	b := batch{journal: journal{}}
	for path, e := range c.seats[seat] {
		_, wanted := p.Values[path]
		switch {
		case wanted:
		case e.Before.IsZero():
			continue // nothing to come back to
		default:
			b.steps = append(b.steps, step{path: path, to: e.Before, release: true})
		}
		b.journal[path] = &entry{Before: e.Before}
	}
	for path, v := range p.Values {
		b.steps = append(b.steps, step{path: path, to: v})
	}
	slices.SortFunc(b.steps, func(x, y step) int { return strings.Compare(x.path, y.path) })
	var there []step
	for _, s := range b.steps {
		now, err := c.vehicle.Get(ctx, s.path)
		switch {
		case errors.Is(err, vehicle.ErrNoSignal):
			b.skipped = append(b.skipped, Skip{s.path, "this vehicle has none"})
			delete(b.journal, s.path)
			continue
		case err != nil:
			return batch{}, fmt.Errorf("reading %s: %w", s.path, err)
		}
		s.from = now
		if b.journal[s.path] == nil {
			b.journal[s.path] = &entry{Before: now}
		}
		there = append(there, s)
	}
	b.steps = there
	return b, nil
}

// take does one step, unless it would move somebody in a moving vehicle.
func (c *Cabin) take(ctx context.Context, s *step) error {
	s.held = false
	if s.from == s.to && !s.from.IsZero() {
		return nil
	}
	// A path that left the catalog since is held to be the worst.
	if signal, ok := c.catalog.Signal(s.path); (!ok || signal.Moves) && Moving(ctx, c.vehicle) {
		s.held = true
		return nil
	}
	return c.vehicle.Set(ctx, s.path, s.to)
}

// rollBackTime bounds the undoing of a batch, which a shutdown does not end.
const rollBackTime = 20 * time.Second

// rollBack undoes the first steps of a batch, the last of them first. What may
// not be moved now, as the vehicle has driven off meanwhile, or is not taken
// back, is left to Settle.
func (c *Cabin) rollBack(ctx context.Context, seat schemas.Seat, b batch, done int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollBackTime)
	defer cancel()
	late := false
	for _, s := range slices.Backward(b.steps[:done]) {
		if s.held || s.from == s.to || s.from.IsZero() {
			continue
		}
		back := step{path: s.path, from: s.to, to: s.from}
		if err := c.take(ctx, &back); err != nil {
			c.log.Error("a setting could not be taken back", "path", s.path, "error", err)
			back.held = true
		}
		if back.held {
			b.journal[s.path].Want, late = &back.to, true
		}
	}
	if !late {
		return
	}
	if err := c.save(seat, b.journal); err != nil {
		c.log.Error("cannot store what is still to be set", "seat", seat, "error", err)
	}
}

// finish keeps the journal as it is after the steps. If it cannot be stored,
// the one that was stored before the steps still has what to come back to.
func (c *Cabin) finish(seat schemas.Seat, b batch) {
	j := maps.Clone(b.journal)
	for _, s := range b.steps {
		switch {
		case s.held:
			want := s.to
			j[s.path] = &entry{j[s.path].Before, &want}
		case s.release:
			delete(j, s.path)
		default:
			j[s.path] = &entry{Before: j[s.path].Before}
		}
	}
	if err := c.save(seat, j); err != nil {
		c.seats[seat] = j
		c.log.Error("cannot store what is still to be set", "seat", seat, "error", err)
	}
}

func (c *Cabin) save(seat schemas.Seat, j journal) error {
	if len(j) == 0 {
		delete(c.seats, seat)
		return c.store.Delete(recordName(seat))
	}
	data, err := j.encode()
	if err != nil {
		return err
	}
	if err := c.store.Put(recordName(seat), data); err != nil {
		return err
	}
	c.seats[seat] = j
	return nil
}

func (b batch) report() Report {
	r := Report{Skipped: b.skipped}
	for _, s := range b.steps {
		switch {
		case s.held:
			r.Held = append(r.Held, s.path)
		case !s.release:
			r.Applied = append(r.Applied, s.path)
		}
	}
	return r
}
