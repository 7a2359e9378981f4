package fleet

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// Whoever sits down while the broker is away does not wait for the link's own
// next attempt.
func TestDeviceHurries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := mtlstest.New(t)
		n := network{
			broker: "127.0.0.1:0", host: "127.0.0.1", // where nobody can listen
			roots: ca.Roots(), brokerRoots: ca.Roots(), backoff: time.Minute, log: slog.New(slog.DiscardHandler),
		}
		d, err := newDevice(0, ca.Device("car-1"), n, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.run(ctx) }()
		synctest.Wait() // no time passes in this test
		if got := d.link.Status().Failures; got != 1 {
			t.Errorf("%d attempts to connect, want the first", got)
		}
		if _, err := d.agent.SignIn(ctx, agent.Request{Scope: scope, LoginHint: personOf(0).Email}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := d.link.Status().Failures; got != 2 {
			t.Errorf("%d attempts to connect when somebody waits, want a second one at once", got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
