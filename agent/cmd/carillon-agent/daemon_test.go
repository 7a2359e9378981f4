package main

import (
	"context"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// Whoever asks while the broker is away does not wait for the link's own next
// attempt.
func TestDaemonHurries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &runFlags{
			place:  place{dir: enrolled(t, mtlstest.New(t))},
			broker: "127.0.0.1:1", // where no broker listens
			device: "car", vehicle: "none",
		}
		o.fill()
		d, err := newDaemon(o, agenttest.Quiet())
		if err != nil {
			t.Fatal(err)
		}
		defer d.store.Close()
		ctx, stop := context.WithCancel(t.Context())
		var running errgroup.Group
		running.Go(func() error { return d.agent.Run(ctx) })
		running.Go(func() error { return d.link.Run(ctx) })
		synctest.Wait() // no time passes in this test
		if got := d.link.Status().Failures; got != 1 {
			t.Errorf("%d attempts to connect, want the first", got)
		}
		if _, err := d.agent.SignIn(ctx, agent.Request{Scope: "seat", LoginHint: "anna@example.com"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := d.link.Status().Failures; got != 2 {
			t.Errorf("%d attempts to connect when somebody waits, want a second one at once", got)
		}
		stop()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
	})
}
