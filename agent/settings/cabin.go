package settings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/schemas"
)

// A Store keeps the journal of each seat by name.
type Store interface {
	Put(name string, data []byte) error
	Delete(name string) error
}

// A Cabin applies plans to the seats of one vehicle, and takes them back. It is
// not safe for concurrent use: one goroutine owns it.
type Cabin struct {
	vehicle Vehicle
	catalog *vehicle.Catalog
	store   Store
	log     *slog.Logger
	seats   map[schemas.Seat]journal
}

// A Report says what was done. All paths are those of the seat.
type Report struct {
	Applied []string // have the wanted value now
	Held    []string // wait until the vehicle stands, or takes them
	Skipped []Skip   // this vehicle does not have them
}

// NewCabin returns the cabin of a vehicle, with the journals among records as
// a Store holds them. Damaged journals are logged and left out. A nil catalog
// means vehicle.VSS6.
func NewCabin(v Vehicle, c *vehicle.Catalog, s Store, records map[string][]byte, log *slog.Logger) *Cabin {
	if c == nil {
		c = vehicle.VSS6()
	}
	cabin := &Cabin{vehicle: v, catalog: c, store: s, log: log, seats: map[schemas.Seat]journal{}}
	for name, data := range records {
		seat, ok := parseRecordName(name)
		if !ok {
			continue
		}
		j, err := decodeJournal(data)
		if err != nil {
			log.Error("what a seat was set to before is lost", "record", name, "error", err)
			continue
		}
		cabin.seats[seat] = j
	}
	return cabin
}

// Seats returns the seats that are not as they were before anybody's settings.
func (c *Cabin) Seats() []schemas.Seat { return slices.Sorted(maps.Keys(c.seats)) }

// Waits reports whether Settle has anything to do.
func (c *Cabin) Waits() bool {
	for _, j := range c.seats {
		if j.waits() {
			return true
		}
	}
	return false
}

// Apply sets a seat to a plan, and what an earlier plan had changed beyond that
// back to what was there before. Either all of it is done but for what is
// held, or all is taken back, by Settle what cannot be at once, and the error
// says why.
func (c *Cabin) Apply(ctx context.Context, seat schemas.Seat, p Plan) (Report, error) {
	b, err := c.prepare(ctx, seat, p)
	if err != nil {
		return Report{}, err
	}
	if err := c.save(seat, b.journal); err != nil {
		return Report{}, err
	}
	for i := range b.steps {
		if err := c.take(ctx, &b.steps[i]); err != nil {
			c.rollBack(ctx, seat, b, i)
			return Report{}, fmt.Errorf("setting %s: %w", b.steps[i].path, err)
		}
	}
	c.finish(seat, b)
	return b.report(), nil
}

// Restore sets a seat to a plan, normally the guest's or none, as far as the
// vehicle takes it; the rest is tried again by Settle. It is for when somebody
// has left: half of a person's settings is better than all of them.
func (c *Cabin) Restore(ctx context.Context, seat schemas.Seat, p Plan) (Report, error) {
	b, err := c.prepare(ctx, seat, p)
	if err != nil {
		return Report{}, err
	}
	if err := c.save(seat, b.journal); err != nil {
		return Report{}, err
	}
	var errs []error
	for i := range b.steps {
		if err := c.take(ctx, &b.steps[i]); err != nil {
			b.steps[i].held = true
			errs = append(errs, fmt.Errorf("setting %s: %w", b.steps[i].path, err))
		}
	}
	c.finish(seat, b)
	return b.report(), errors.Join(errs...)
}

// Settle tries again what was held or not taken, and reports by seat what has
// changed. Seats without a change are not in the result.
func (c *Cabin) Settle(ctx context.Context) map[schemas.Seat]Report {
	changed := map[schemas.Seat]Report{}
	for seat, j := range c.seats {
		b := batch{journal: j}
		done := false
		for _, path := range slices.Sorted(maps.Keys(j)) {
			e := j[path]
			if e.Want == nil {
				continue
			}
			s := step{path: path, to: *e.Want, release: *e.Want == e.Before}
			if err := c.take(ctx, &s); err != nil {
				s.held = true
			}
			done = done || !s.held
			b.steps = append(b.steps, s)
		}
		if done {
			c.finish(seat, b)
			changed[seat] = b.report()
		}
	}
	return changed
}
