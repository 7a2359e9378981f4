package metrics_test

import (
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/metrics"
)

// What the metrics of one sign-in cost that is polled for 24 times, without
// anybody who wants to know and with one.
func BenchmarkSignIn(b *testing.B) {
	for _, c := range []struct {
		name string
		set  *metrics.Set
	}{{"off", nil}, {"on", metrics.New()}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for range 2 { // the request and the receipt
					c.set.Received()
					c.set.Stage(metrics.Queue, time.Millisecond)
				}
				c.set.Stage(metrics.Accept, time.Millisecond)
				c.set.Rings()
				c.set.Called(metrics.Authenticate, metrics.OK, time.Millisecond)
				c.set.Stage(metrics.Pending, time.Millisecond)
				for range 24 {
					c.set.Called(metrics.Token, metrics.Waiting, time.Millisecond)
				}
				c.set.Decided(metrics.Approved, time.Minute)
				c.set.Stage(metrics.Answer, time.Millisecond)
				c.set.Ended(metrics.SignIn, metrics.Granted)
				for range 2 { // pending and the grant
					c.set.Published(metrics.Published)
					c.set.Stage(metrics.Publish, time.Millisecond)
				}
				c.set.Stage(metrics.Receipt, time.Millisecond)
				c.set.Receipted(time.Second)
				for range 5 + 24 {
					c.set.Wrote(time.Millisecond)
				}
			}
		})
	}
}
