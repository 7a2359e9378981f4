package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/device-sim/fleet/report"
	"github.com/carillon-iot/carillon/device-sim/process"
	"github.com/carillon-iot/carillon/device-sim/world/wiretap"
)

// costs is what everybody has cost up to a moment.
type costs struct {
	parts          map[string]process.Usage
	radio, carrier wiretap.Count
	connections    int
}

func (r *run) costs() costs {
	c := costs{parts: r.cluster.usage(), connections: r.crowd.connections()}
	c.radio, c.carrier = r.crowd.traffic()
	return c
}

// measure connects the devices and puts the load on.
func (r *run) measure(ctx context.Context) error {
	r.load = newLoad(r.cfg, r.cluster.fail)
	n, err := r.cluster.network()
	if err != nil {
		return err
	}
	n.log = slog.New(slog.DiscardHandler)
	if r.cfg.Dir != "" { // who keeps the directory wants to look into it
		if n.log, err = r.logger(partDevices); err != nil {
			return err
		}
	}
	if r.crowd, err = newCrowd(r.creds.devices, n, r.load); err != nil {
		return err
	}
	showing, stop := context.WithCancel(ctx)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		r.show(showing)
	}()
	defer func() {
		stop()
		<-shown
	}()
	if err := r.connect(ctx); err != nil {
		return err
	}
	before := r.costs()
	asked := r.apply(ctx)
	r.account(before, r.costs())
	r.in.Interrupted = ctx.Err() != nil
	return r.ask(asked)
}

// connect brings the devices up, and notes what that has cost.
func (r *run) connect(ctx context.Context) error {
	runtime.GC()
	before, began := r.costs(), time.Now()
	if err := r.crowd.connect(ctx); err != nil {
		return err
	}
	took, after := time.Since(began), r.costs()
	c := &r.in.Connecting
	c.Took, c.CPU = took, map[string]time.Duration{}
	for name, u := range after.parts {
		c.CPU[name] = u.CPU - before.parts[name].CPU
	}
	grown := after.parts[partDevices].Resident - before.parts[partDevices].Resident
	c.DeviceMemory = max(grown, 0) / int64(r.cfg.Devices)
	r.tell(Event{What: "connected", Text: fmt.Sprintf("%d devices are connected and introduced, after %d ms (%.1f ms of CPU for each)",
		r.cfg.Devices, took.Milliseconds(), c.Each(r.cfg.Devices).Seconds()*1e3)})
	return nil
}

// apply puts the load on, kills meanwhile, and waits until all of it is over. It
// returns how many sign-ins were asked for.
func (r *run) apply(ctx context.Context) (asked int) {
	for _, d := range r.crowd.devices {
		r.load.free <- d
	}
	r.load.began = time.Now()
	r.chaos = &chaos{cluster: r.cluster, load: r.load, tell: r.tell, after: r.cfg.RestartAfter}
	r.tell(Event{What: "begins", Text: fmt.Sprintf("%d sign-ins begin, %.4g a second", r.cfg.Plan.Count, r.cfg.Plan.Rate)})

	meanwhile, stop := context.WithCancel(ctx)
	var others sync.WaitGroup
	others.Go(func() { r.chaos.run(meanwhile, r.cfg.Kills) })
	others.Go(func() { r.cluster.watchMemory(meanwhile) })
	asked = r.load.run(ctx)
	if ctx.Err() == nil {
		r.tell(Event{At: r.load.since(time.Now()), What: "settles", Text: "all are asked for; waiting for their ends"})
	}
	r.load.settle(ctx)
	r.crowd.hush(ctx)
	stop() // a kill of which nobody would notice anything
	others.Wait()
	return asked
}

// account notes what the load has cost.
func (r *run) account(before, after costs) {
	in, cfg := &r.in, r.cfg
	in.Setup = report.Setup{
		Devices: cfg.Devices, Bridges: cfg.Bridges, Store: cfg.Store.String(), Rate: cfg.Plan.Rate, Planned: cfg.Plan.Count,
		Thinking: cfg.Habit.After.String(), Deny: cfg.Habit.Deny, Ignore: cfg.Habit.Ignore,
		Expiry: cfg.Expiry, Interval: cfg.Interval, Seed: cfg.Plan.Seed, Began: r.load.began,
	}
	if cfg.Broker != nil {
		in.Setup.Broker = cfg.Broker.Address
	}
	for _, name := range slices.SortedFunc(maps.Keys(after.parts), r.cluster.inOrder) {
		u := after.parts[name]
		in.Parts = append(in.Parts, report.Part{Name: name, CPU: u.CPU - before.parts[name].CPU, Peak: u.Peak})
	}
	in.Radio = traffic(after.radio.Sub(before.radio))
	in.Carrier = traffic(after.carrier.Sub(before.carrier))
	in.Reconnects = after.connections - before.connections
	in.Starved = r.load.starved
	in.Kills = r.chaos.kills()
}

func traffic(c wiretap.Count) report.Traffic { return report.Traffic{Up: c.Up, Down: c.Down} }

// ask ends the devices, and then asks what has become of each sign-in: them, and
// the provider's journal. What is open without an interruption is lost.
func (r *run) ask(asked int) error {
	if err := r.crowd.close(); err != nil {
		return err
	}
	signIns := r.load.signIns[:asked]
	f := newFacts(r.load.began, r.cfg.Devices, signIns)
	if err := f.read(r.cluster.journal()); err != nil {
		return err
	}
	r.in.Strays = f.strays
	r.in.SignIns = make([]report.SignIn, 0, asked)
	for i := range signIns {
		s := signIns[i].SignIn
		if s.Outcome == report.Open && !r.in.Interrupted {
			s.Outcome = report.Lost
		}
		r.in.SignIns = append(r.in.SignIns, s)
	}
	if len(r.in.SignIns) == 0 {
		return errors.New("interrupted before the first sign-in")
	}
	return nil
}
