package main

import (
	"flag"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/device-sim/fleet"
	"github.com/carillon-iot/carillon/device-sim/fleet/arrivals"
	"github.com/carillon-iot/carillon/device-sim/habit"
)

// fleetFlags are those of the command fleet.
type fleetFlags struct {
	devices, signIns    int
	rate                float64
	duration            time.Duration
	even                bool
	habit               habit.Habit
	expiry, interval    time.Duration
	bridges             int
	store               string
	broker, brokerRoots string
	authority           string
	kill                string
	restartAfter        time.Duration
	json                bool
	html, keep          string
}

// defaultDuration is how long a load takes of which only the number of sign-ins
// is said, or only the rate.
const defaultDuration = 10 * time.Second

func (f *fleetFlags) define(fs *flag.FlagSet) {
	commonFlags(fs, &f.json, &f.keep)
	fs.IntVar(&f.devices, "devices", 50, "`number` of devices, each with a key, a certificate, a connection and a person of its own")
	fs.IntVar(&f.signIns, "sign-ins", 0, "`number` of sign-ins at most; 0, without --rate: one for each device")
	fs.Float64Var(&f.rate, "rate", 0, "sign-ins a second, a `number`; 0: as --sign-ins and --duration make it")
	durationVar(fs, &f.duration, "duration", 0, "`time` for which sign-ins are begun; 0: as --sign-ins and --rate make it, or 10s")
	fs.BoolVar(&f.even, "even", false, "let all sign-ins be equally far apart, instead of at random")
	f.habit.After = habit.Lognormal(3*time.Second, 0.5)
	fs.Var(&f.habit.After, "approve-after", "how long people think, a `distribution`; see below")
	fs.Float64Var(&f.habit.Deny, "deny", 0, "`part` of requests that people deny, 0 to 1")
	fs.Float64Var(&f.habit.Ignore, "ignore", 0, "`part` of requests that people leave alone, 0 to 1")
	fs.Uint64Var(&f.habit.Seed, "seed", 1, "decides when people come, how long they think and what they say")
	durationVar(fs, &f.expiry, "expiry", 2*time.Minute, "`time` for which a phone rings, up to 5m")
	durationVar(fs, &f.interval, "interval", 5*time.Second, "`time` between two polls of one request that the provider allows")
	fs.IntVar(&f.bridges, "bridges", 1, "`number` of bridges that share the work; more than one need PostgreSQL")
	fs.StringVar(&f.store, "store", "sqlite", "`where` bridges keep their state: "+storeNames)
	fs.StringVar(&f.broker, "broker", "", "`URL` of a broker of yours, mqtts://host:port; see docs/simulator.md for what it must trust")
	fs.StringVar(&f.brokerRoots, "broker-roots", "", "PEM `file` with the roots of that broker's certificate; empty: it is of --authority")
	fs.StringVar(&f.authority, "authority", "", "`directory` of a certificate authority, see carillon-pki; empty: a new one")
	fs.StringVar(&f.kill, "kill", "", "`parts` to kill, and when: bridge=5s,broker=9s,provider=11s")
	durationVar(fs, &f.restartAfter, "restart-after", 0, "`time` for which a killed part stays dead")
	fs.StringVar(&f.html, "html", "", "write the report to this `file`, as a page that needs nothing else")
}

// durationVar defines a flag whose error says what was found.
func durationVar(fs *flag.FlagSet, to *time.Duration, name string, value time.Duration, usage string) {
	*to = value
	fs.Var((*durationValue)(to), name, usage)
}

type durationValue time.Duration

func (d *durationValue) String() string { return time.Duration(*d).String() }

func (d *durationValue) Set(text string) error {
	v, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is not a time such as 500ms, 20s or 2m", text)
	}
	*d = durationValue(v)
	return nil
}

// config is what the flags say. Errors are mistakes in the command line.
func (f *fleetFlags) config() (cfg fleet.Config, err error) {
	cfg = fleet.Config{
		Devices: f.devices, Habit: f.habit, Expiry: f.expiry, Interval: f.interval, Bridges: f.bridges,
		Authority: f.authority, RestartAfter: f.restartAfter, Dir: f.keep,
	}
	if cfg.Plan, err = f.plan(); err != nil {
		return cfg, err
	}
	if cfg.Kills, err = fleet.ParseKills(f.kill); err != nil {
		return cfg, fmt.Errorf("--kill: %w", err)
	}
	if cfg.Store, err = parseStore(f.store); err != nil {
		return cfg, fmt.Errorf("--store: %w", err)
	}
	if cfg.Broker, err = f.outsideBroker(); err != nil {
		return cfg, err
	}
	return cfg, cfg.Validate()
}

// plan fills in what of number, rate and duration is not said.
func (f *fleetFlags) plan() (arrivals.Plan, error) {
	signIns, duration := f.signIns, f.duration
	if signIns == 0 && f.rate == 0 {
		signIns = f.devices
	}
	if duration == 0 && (signIns == 0 || f.rate == 0) {
		duration = defaultDuration
	}
	plan, err := arrivals.Fit(signIns, f.rate, duration)
	if err != nil {
		return plan, fmt.Errorf("--sign-ins, --rate, --duration: %w", err)
	}
	plan.Even, plan.Seed = f.even, f.habit.Seed
	return plan, nil
}

// storeNames are what parseStore takes.
const storeNames = "sqlite, postgres (a server that is started and thrown away), or the postgres:// URL of an empty database"

func parseStore(text string) (fleet.Store, error) {
	switch {
	case text == "sqlite":
		return fleet.SQLite{}, nil
	case text == "postgres":
		return new(fleet.Postgres), nil
	case strings.HasPrefix(text, "postgres://"), strings.HasPrefix(text, "postgresql://"):
		return fleet.Database{URL: text}, nil
	}
	return nil, fmt.Errorf("%q is not known, want %s", text, storeNames)
}

func (f *fleetFlags) outsideBroker() (*fleet.OutsideBroker, error) {
	switch {
	case f.broker == "" && f.brokerRoots != "":
		return nil, fmt.Errorf("--broker-roots is of no use without --broker")
	case f.broker == "":
		return nil, nil
	case f.authority == "":
		return nil, fmt.Errorf("--broker needs --authority: yours must have been told whom to let in before")
	}
	address, ok := strings.CutPrefix(f.broker, "mqtts://")
	if !ok {
		return nil, fmt.Errorf("--broker is %q, want mqtts://host:port", f.broker)
	}
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("--broker is %q, want mqtts://host:port", f.broker)
	}
	return &fleet.OutsideBroker{Address: address, Roots: f.brokerRoots}, nil
}
