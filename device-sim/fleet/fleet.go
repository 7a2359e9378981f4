// Package fleet puts a load of thousands of devices on Carillon, and kills parts
// of it meanwhile.
//
// Every part is real: each device is the agent library with a key, a certificate
// and a mutual TLS connection of its own; broker, bridges and OpenID provider are
// processes of their own, of this very binary, so that a kill is a kill -9 and
// what each part costs can be told apart. All devices live in this process, and
// so does the clock that everything is measured by.
//
//	plan, err := arrivals.Fit(10_000, 500, 0)
//	r, err := fleet.Run(ctx, fleet.Config{
//		Devices: 10_000, Plan: plan, Bridges: 1, Store: fleet.SQLite{}, Kills: kills,
//	})
//	r.WriteText(os.Stdout)
//
// # What is counted as lost
//
// A request is lost whose device has got no answer that a bridge signed by its
// expiry and the time for which the agent still asks. That is for the agent to
// say: it ends the request as unknown, or as unsent. What the provider saw is read
// from its journal, which survives its kill: of each request that it has accepted
// more than once, the second and all further ones are second pushes.
package fleet

import (
	"errors"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/device-sim/fleet/arrivals"
	"github.com/carillon-iot/carillon/device-sim/habit"
)

// Config says what is run. Devices, Plan, Bridges and Store are required.
type Config struct {
	// Devices are connected before the first sign-in, and stay so. Each has a
	// person of its own.
	Devices int
	// Plan says when people sit down. Each arrival is given to the device that has
	// been idle for longest.
	Plan arrivals.Plan
	// Habit is what people do when their phone rings.
	Habit habit.Habit
	// Expiry is how long phones ring, in whole seconds from 1 s to 5 min. Zero
	// means two minutes.
	Expiry time.Duration
	// Interval is how often the provider lets itself be polled, in whole seconds.
	// Zero means five.
	Interval time.Duration
	// Bridges is how many share the work.
	Bridges int
	// Store is where they keep their state. Run opens and closes it.
	Store Store
	// Broker is somebody else's. Nil starts one.
	Broker *OutsideBroker
	// Authority is the directory of the certificate authority, see package pki.
	// Empty makes a new one.
	Authority string
	// Kills are what happens during the load, in order. Who is killed is started
	// again after RestartAfter.
	Kills        []Kill
	RestartAfter time.Duration
	// Dir keeps certificates, databases and logs. It must be empty or missing,
	// and is kept. Empty means a temporary directory that is removed.
	Dir string
	// Happened is told of each step and each kill, Progress four times a second
	// how far it is. Both may be nil, and must return soon. They are not called
	// concurrently.
	Happened func(Event)
	Progress func(Progress)
}

// An OutsideBroker is a broker that was there before. It must let in devices and
// bridges with certificates of Config.Authority.
type OutsideBroker struct {
	Address string // host:port
	// Roots is the PEM file with the roots of its certificate. Empty means that it
	// has one of Config.Authority.
	Roots string
}

// An Event is something that has happened.
type Event struct {
	At   time.Duration // since the first sign-in was due; 0 before
	What string        // one word: "enrolled", "up", "connected", "begins", "killed", "back", "settles"
	Who  string        // the part that was killed or is back, or ""
	Text string        // for people
}

// Progress is how far a run is.
type Progress struct {
	At              time.Duration // since the first sign-in was due; 0 before
	Connected       int           // devices, that are introduced to a bridge
	Asked, Rang     int           // sign-ins
	Granted, Denied int
	Expired         int
	Refused, Lost   int
	Open            int // asked, and not over
}

// Bounds of Config.
const (
	maxDevices = 1_000_000
	maxExpiry  = 5 * time.Minute // the provider's
)

func (c *Config) withDefaults() {
	if c.Expiry == 0 {
		c.Expiry = 2 * time.Minute
	}
	if c.Interval == 0 {
		c.Interval = 5 * time.Second
	}
}

// Validate reports what cannot be run. Run does, too.
func (c Config) Validate() error {
	c.withDefaults()
	switch {
	case c.Devices < 1 || c.Devices > maxDevices:
		return fmt.Errorf("%d devices, want 1 to %d", c.Devices, maxDevices)
	case c.Plan.Count < 1 || !(c.Plan.Rate > 0):
		return errors.New("no plan of sign-ins is given")
	case c.Store == nil:
		return errors.New("no store is given")
	case c.Bridges < 1:
		return fmt.Errorf("%d bridges, want 1 or more", c.Bridges)
	case c.Bridges > 1 && !c.Store.Shared():
		return fmt.Errorf("%d bridges on %v, which serves one", c.Bridges, c.Store)
	case c.Expiry < time.Second || c.Expiry > maxExpiry || c.Expiry%time.Second != 0:
		return fmt.Errorf("an expiry of %v, want whole seconds from 1s to %v", c.Expiry, maxExpiry)
	case c.Interval < time.Second || c.Interval%time.Second != 0:
		return fmt.Errorf("an interval of %v, want whole seconds", c.Interval)
	case c.RestartAfter < 0:
		return fmt.Errorf("a restart after %v, want 0 or more", c.RestartAfter)
	}
	for _, k := range c.Kills {
		if err := k.possible(c.Bridges, c.Broker == nil); err != nil {
			return err
		}
	}
	if err := checkFiles(c.Devices); err != nil {
		return err
	}
	return c.Habit.Validate()
}
