package agent_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// A car is a device with its disk, in front of a bridge.
type car struct {
	t     *testing.T
	b     *agenttest.Bridge
	store agent.Store
	cfg   agent.Config
	*agent.Agent
	stop func()
}

// newCar returns a car that is connected, and whose agent runs.
func newCar(t *testing.T, b *agenttest.Bridge, change func(*agent.Config)) *car {
	t.Helper()
	c := &car{t: t, b: b, store: new(outbox.Memory), stop: func() {}}
	c.cfg = agent.Config{
		Certificate: mtls.Fixed(b.CA.Device(agenttest.DeviceID)), Roots: b.CA.Roots(), Publisher: b, Store: c.store,
		Logger: agenttest.Quiet(),
	}
	if change != nil {
		change(&c.cfg)
		c.store = c.cfg.Store
	}
	c.start()
	return c
}

// start makes an agent of what the disk has, and connects it.
func (c *car) start() {
	c.t.Helper()
	c.load()
	c.Connected()
}

// load makes an agent of what the disk has.
func (c *car) load() {
	c.t.Helper()
	a, err := agent.New(c.cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	c.Agent = a
	c.stop = func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Errorf("Run: %v", err)
		}
		c.stop = func() {}
	}
	c.t.Cleanup(func() { c.stop() })
	c.b.Set(func(b *agenttest.Bridge) { b.Device = a })
}

// restart kills the agent and starts it again from its disk.
func (c *car) restart() {
	c.t.Helper()
	c.stop()
	c.start()
}

// signIn begins a sign-in by hint and lets it ring.
func (c *car) signIn(hint string) schemas.ID {
	c.t.Helper()
	id, err := c.SignIn(c.t.Context(), agent.Request{Scope: "seat climate", LoginHint: hint})
	if err != nil {
		c.t.Fatal(err)
	}
	time.Sleep(time.Second)
	return id
}

// enter signs somebody in.
func (c *car) enter(name string) schemas.ID {
	c.t.Helper()
	id := c.signIn(name + "@example.com")
	c.b.Approve(id, name)
	time.Sleep(time.Second)
	c.wantState(id, agent.StateGranted)
	return id
}

func (c *car) look(id schemas.ID) agent.SignIn {
	for _, s := range c.Status().SignIns {
		if s.ID == id {
			return s
		}
	}
	return agent.SignIn{}
}

func (c *car) wantState(id schemas.ID, want agent.State) {
	c.t.Helper()
	synctest.Wait()
	n := 0
	for _, s := range c.Status().SignIns {
		if s.ID == id {
			n++
		}
	}
	if n != 1 {
		c.t.Errorf("sign-in %v is listed %d times", id, n)
	}
	if got := c.look(id); got.State != want {
		c.t.Fatalf("sign-in is %q (%v), want %q", got.State, got.Code, want)
	}
}

func (c *car) wantSessions(n int) {
	c.t.Helper()
	synctest.Wait()
	if got := c.Status().Sessions; len(got) != n {
		c.t.Fatalf("%d sessions, want %d: %+v", len(got), n, got)
	}
}

// records returns how many records of open requests the disk has.
func (c *car) records() (n int) {
	all, err := c.store.Load()
	if err != nil {
		c.t.Fatal(err)
	}
	for name := range all {
		if len(name) > 8 && name[:8] == "request-" {
			n++
		}
	}
	return n
}

// api is a settings API in memory.
type api struct {
	mu    sync.Mutex // guards the rest
	doc   settings.Values
	err   error
	calls int
}

func (a *api) Fetch(_ context.Context, t settings.Token) (settings.Document, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	if len(t.Access) != agenttest.TokenBytes {
		return settings.Document{}, errors.New("not the token")
	}
	if a.err != nil {
		return settings.Document{}, a.err
	}
	return settings.Document{VSS: "6.0", Values: a.doc}, nil
}

// set changes what the API answers.
func (a *api) set(doc settings.Values, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.doc, a.err = doc, err
}

func (a *api) called() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls
}

const (
	position    = "Vehicle.Cabin.Seat.Row1.DriverSide.Position"
	heating     = "Vehicle.Cabin.Seat.Row1.DriverSide.HeatingCooling"
	temperature = "Vehicle.Cabin.HVAC.Station.Row1.Driver.Temperature"
	volume      = "Vehicle.Cabin.Infotainment.Media.Volume"
)

func annasSettings() settings.Values {
	return settings.Values{
		position: vehicle.Number(320), heating: vehicle.Number(40), temperature: vehicle.Number(19.5),
		volume: vehicle.Number(99), // not covered by the scopes
	}
}
