package capacity

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/store/pgtest"
	"github.com/carillon-iot/carillon/device-sim/process"
)

var (
	million = flag.Int("million", 20_000, "sign-ins for which BenchmarkMillion waits")
	every   = flag.Duration("interval", 20*time.Second, "time between two polls of each")
)

// BenchmarkMillion waits for a million people on PostgreSQL, and for fewer without
// its flag. The provider says how late each poll was: the time since the one before
// it, without the interval.
//
//	polls/s      as many as were made
//	late-p99-ms  99 in 100 were no later than this
//	rss-MB       the most memory that the bridge held
func BenchmarkMillion(b *testing.B) {
	server := pgtest.New(b, pgtest.Config{Fsync: true})
	for b.Loop() {
		r := newRig(b, must(server.Database(context.Background())))
		// Whatever is late when it begins is late again each time.
		from := time.Now().Add(5*time.Second + time.Duration(*million)*40*time.Microsecond)
		r.seed(*million, from, *every, *every)
		r.start("max-polls", "1024")
		wait := time.Until(from)
		if wait < 0 {
			b.Fatalf("the rows were written %v too late", -wait)
		}
		time.Sleep(wait)
		first := r.polled().Polls
		cost, database, op := r.bridge.Usage().CPU, process.FamilyUsage(server.PID()).CPU, r.provider.Usage().CPU
		began := time.Now()
		time.Sleep(*every + *every/2)
		p, took := r.polled(), time.Since(began)
		polls := float64(p.Polls - first)
		b.ReportMetric(polls/took.Seconds(), "polls/s")
		b.ReportMetric(float64(*million)/every.Seconds(), "wanted/s")
		b.ReportMetric(float64(p.SignIns), "polled")
		b.ReportMetric(float64(p.Gaps), "gaps")
		if p.Gaps > 0 { // else nobody was asked about twice: it cannot keep up
			b.ReportMetric(float64((p.Median - *every).Milliseconds()), "late-p50-ms")
			b.ReportMetric(float64((p.P99 - *every).Milliseconds()), "late-p99-ms")
			b.ReportMetric(float64((p.Max - *every).Milliseconds()), "late-max-ms")
		}
		b.ReportMetric(micro(r.bridge.Usage().CPU-cost)/polls, "bridge-us/poll")
		b.ReportMetric(micro(process.FamilyUsage(server.PID()).CPU-database)/polls, "database-us/poll")
		b.ReportMetric(micro(r.provider.Usage().CPU-op)/polls, "provider-us/poll")
		b.ReportMetric(float64(r.bridge.Usage().Peak)/1e6, "rss-MB")
	}
	b.ReportMetric(0, "ns/op")
}
