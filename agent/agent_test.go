package agent_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

func TestConfigErrors(t *testing.T) {
	b := agenttest.NewBridge(t)
	good := agent.Config{
		Certificate: mtls.Fixed(b.CA.Device(agenttest.DeviceID)), Roots: b.CA.Roots(), Publisher: b,
		Store: new(outbox.Memory), Logger: agenttest.Quiet(),
	}
	for want, change := range map[string]func(*agent.Config){
		"no Certificate":    func(c *agent.Config) { c.Certificate = nil },
		"no Roots":          func(c *agent.Config) { c.Roots = nil },
		"no Publisher":      func(c *agent.Config) { c.Publisher = nil },
		"no Store":          func(c *agent.Config) { c.Store = nil },
		"want a device's":   func(c *agent.Config) { c.Certificate = mtls.Fixed(b.CA.Bridge("eu-1")) },
		"there is none yet": func(c *agent.Config) { c.Certificate = (&mtls.Files{CertFile: "there is none yet"}).Certificate },
	} {
		cfg := good
		change(&cfg)
		if _, err := agent.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	a, err := agent.New(good)
	if err != nil {
		t.Fatal(err)
	}
	if a.Device() != agenttest.DeviceID || a.DownTopic() != "carillon/v1/"+agenttest.DeviceID+"/down" {
		t.Errorf("device %q, topic %q", a.Device(), a.DownTopic())
	}
	if s := a.Status(); s.Device != agenttest.DeviceID || s.Connected || s.Introduced {
		t.Errorf("status %+v", s)
	}
}

// An idle agent has few goroutines and wakes up for nothing.
func TestIdleAgentIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		before := runtime.NumGoroutine()
		c := newCar(t, b, withVehicle(vehicle.NewMemory(nil), annasAPI()))
		time.Sleep(time.Second)
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > 4 { // one of them is the test's
			t.Errorf("%d goroutines", n)
		}
		n := len(b.Heard(schemas.KindHello))
		time.Sleep(30 * 24 * time.Hour)
		if more := len(b.Heard(schemas.KindHello)); more != n || n != 1 {
			t.Errorf("%d hellos in a month", more)
		}
		c.stop()
	})
}

func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		events := c.Watch(t.Context())
		c.stop()
		if _, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", LoginHint: "a"}); !errors.Is(err, agent.ErrStopped) {
			t.Errorf("SignIn: %v", err)
		}
		if err := c.Cancel(t.Context(), schemas.NewID()); !errors.Is(err, agent.ErrStopped) {
			t.Errorf("Cancel: %v", err)
		}
		if _, err := c.SignOut(t.Context(), agent.Target{All: true}); !errors.Is(err, agent.ErrStopped) {
			t.Errorf("SignOut: %v", err)
		}
		for range events {
		}
		if _, ok := <-c.Watch(t.Context()); ok {
			t.Error("an event after the end")
		}
		if err := c.Run(t.Context()); err == nil {
			t.Error("runs twice")
		}
		c.Handle(c.DownTopic(), []byte("x"))
		c.Connected()
		c.Disconnected(nil)
		_ = c.Status()
	})
}

// A caller that gives up before the loop has begun gets its own reason.
func TestContextOfTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		a, err := agent.New(agent.Config{
			Certificate: mtls.Fixed(b.CA.Device(agenttest.DeviceID)), Roots: b.CA.Roots(), Publisher: b, Store: new(outbox.Memory), Logger: agenttest.Quiet(),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.SignIn(ctx, agent.Request{Scope: "seat", LoginHint: "a"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("SignIn: %v", err)
		}
	})
}

// A watcher that does not read loses the oldest events, and knows it.
func TestSlowWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		events := c.Watch(ctx)
		for range 100 {
			c.Disconnected(nil)
			synctest.Wait()
			c.Connected()
			synctest.Wait()
		}
		id := c.signIn("anna@example.com")
		cancel()
		var all []agent.Event
		for e := range events {
			all = append(all, e)
		}
		last := all[len(all)-1]
		if last.SignIn == nil || last.SignIn.ID != id || last.SignIn.State != agent.StateRinging {
			t.Errorf("the last event is %+v", last)
		}
		if all[0].Seq == 1 {
			t.Error("nothing was lost: the test tests nothing")
		}
		for i := 1; i < len(all); i++ {
			if all[i].Seq != all[i-1].Seq+1 {
				t.Errorf("event %d follows %d", all[i].Seq, all[i-1].Seq)
			}
		}
	})
}

// A flood from the broker is dropped beyond a bound and does not block it.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, nil)
		id := c.signIn("anna@example.com")
		for range 10000 {
			c.Handle(c.DownTopic(), []byte("rubbish"))
		}
		c.Handle(c.DownTopic(), make([]byte, schemas.MaxDown+1))
		time.Sleep(time.Second)
		b.Approve(id, "Anna")
		time.Sleep(time.Second)
		c.wantState(id, agent.StateGranted)
	})
}

// Records that cannot be read cost what is in them, and nothing else.
func TestDamagedRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := agenttest.NewBridge(t)
		c := newCar(t, b, withVehicle(vehicle.NewMemory(nil), annasAPI()))
		c.enter("Anna")
		all, err := c.store.Load()
		if err != nil {
			t.Fatal(err)
		}
		for name := range all {
			for _, junk := range []string{"", "{", "null", `{"version":99}`, "\x00\xff"} {
				c.stop()
				old, err := c.store.Load()
				if err != nil {
					t.Fatal(err)
				}
				if err := c.store.Put(name, []byte(junk)); err != nil {
					t.Fatal(err)
				}
				if err := c.store.Put("request-0102030405060708", []byte(junk)); err != nil {
					t.Fatal(err)
				}
				c.start()
				time.Sleep(time.Second)
				if s := c.Status(); !s.Connected || !s.Introduced {
					t.Errorf("%s with %q: %+v", name, junk, s)
				}
				if err := c.store.Put(name, old[name]); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
