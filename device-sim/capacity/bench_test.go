package capacity

import (
	"context"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest/bare"
	"github.com/carillon-iot/carillon/bridge/store/pgtest"
	"github.com/carillon-iot/carillon/device-sim/process"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// BenchmarkBridge compares what a sign-in costs the bridge with what it cannot do
// without, and how many it does in a second with a bare client of the same
// provider. The provider answers at once, and has the bridge wait for one second
// before it asks what became of it, so many sign-ins are open at a time.
//
//	sign-ins/s    as many as the bridge does
//	bare/s        as many as a loop of bare HTTP calls does
//	x-bare        the first divided by the second
//	bridge-us     CPU of the bridge's process for one sign-in, MQTT and store included
//	least-us      of that, two messages verified, a hint opened, a grant sealed, two
//	              answers signed, and two bare calls of the provider
//	x-least       the first divided by the second
//
// The parts are printed beside: verify-us and sign-us of one message, open-us,
// seal-us, and calls-us of both calls. What the store and MQTT cost is the rest, and
// alone in BenchmarkSignIn of bridge/store and in the benchmarks of broker.
func BenchmarkBridge(b *testing.B) {
	b.Run("store=sqlite", func(b *testing.B) { benchmarkBridge(b, "") })
	b.Run("store=postgres", func(b *testing.B) {
		server := pgtest.New(b, pgtest.Config{Fsync: true})
		benchmarkBridge(b, must(server.Database(b.Context())))
	})
}

func benchmarkBridge(b *testing.B, db string) {
	const atOnce = 1500
	r := newRig(b, db)
	r.start("max-calls", "1024", "max-polls", "1024")
	devices := r.devices(atOnce)
	loop := bare.Loop{HTTP: r.http, Issuer: r.issuer, Key: must(bare.Key(b.Context(), r.http, r.issuer))}
	for b.Loop() {
		ours, calls := r.load(devices, atOnce, 10*atOnce), bareLoad(b, loop, 3*atOnce)
		least := cryptography(b) + calls.each()
		b.ReportMetric(ours.rate(), "sign-ins/s")
		b.ReportMetric(calls.rate(), "bare/s")
		b.ReportMetric(ours.rate()/calls.rate(), "x-bare")
		b.ReportMetric(micro(ours.each()), "bridge-us")
		b.ReportMetric(micro(calls.each()), "calls-us")
		b.ReportMetric(micro(least), "least-us")
		b.ReportMetric(float64(ours.each())/float64(least), "x-least")
		b.ReportMetric(float64(r.refused.Swap(0)), "refused")
	}
	b.ReportMetric(0, "ns/op")
}

// bareLoad makes n bare sign-ins, enough of them at a time.
func bareLoad(b *testing.B, l bare.Loop, n int) load {
	before, began := process.Own().CPU, time.Now()
	inParallel(n, 64, func(int) {
		if err := l.SignIn(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return load{n, time.Since(began), process.Own().CPU - before}
}

// cryptography is the CPU of what a sign-in cannot do without.
func cryptography(b *testing.B) (sum time.Duration) {
	ca := mtlstest.New(b)
	cert := ca.Device("car-1")
	signer := must(schemas.NewSigner(signerKey(cert), chainOf(cert)))
	seal, topic := must(schemas.GenerateSealKey()), schemas.UpTopic("car-1")
	m := &schemas.SignIn{ID: schemas.NewID(), IssuedAt: 1, Scope: "seat climate", Device: schemas.Car, ResponseKey: seal.Public()}
	m.Sealed = must(schemas.SealPrivate(seal.Public(), "car-1", m.ID, schemas.Private{LoginHint: "anna@example.com"}))
	signed := must(signer.Sign(topic, m))
	grant := schemas.Grant{AccessToken: make([]byte, 900), ExpiresIn: 3600, Person: schemas.NewHandle(), Name: "Anna"}
	sealed := must(schemas.SealGrant(seal.Public(), "car-1", m.ID, grant))
	for _, part := range []struct {
		name  string
		times int
		do    func()
	}{
		{"verify", 2, func() { _ = must(must(schemas.Parse(topic, signed)).Verify(cert.Leaf)) }},
		{"open", 1, func() { _ = must(schemas.OpenPrivate(seal, "car-1", m.ID, m.Sealed)) }},
		{"seal", 1, func() { _ = must(schemas.SealGrant(seal.Public(), "car-1", m.ID, grant)) }},
		{"sign", 2, func() { _ = must(signer.Sign(schemas.DownTopic("car-1"), &schemas.Granted{ID: m.ID, Sealed: sealed})) }},
	} {
		const n = 2000
		before := process.Own().CPU
		for range n {
			part.do()
		}
		each := (process.Own().CPU - before) / n
		b.ReportMetric(micro(each), part.name+"-us")
		sum += time.Duration(part.times) * each
	}
	return sum
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// BenchmarkDevices shows that it makes no difference how many devices there are.
func BenchmarkDevices(b *testing.B) {
	const atOnce, many = 100, 10_000
	r := newRig(b, "")
	r.start()
	devices := r.devices(many)
	for b.Loop() {
		few := r.load(devices[:atOnce], atOnce, many/10).each()
		all := r.load(devices, atOnce, many/10).each()
		b.ReportMetric(micro(few), "us-of-100")
		b.ReportMetric(micro(all), "us-of-10000")
		b.ReportMetric(float64(all)/float64(few), "x")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPending shows that it makes no difference how many people are waited
// for, beyond the polls that they cost: here these come later. Both bridges are
// asked by turns, since what else happens on a machine changes.
func BenchmarkPending(b *testing.B) {
	const atOnce, few, many, turns = 400, 1000, 100_000, 3
	waitFor := func(waiting int) func() load {
		r := newRig(b, "")
		r.seed(waiting, time.Now(), time.Hour, time.Hour)
		r.start()
		devices := r.devices(atOnce)
		return func() load { return r.load(devices, atOnce, 4*atOnce) }
	}
	for b.Loop() {
		one, other := waitFor(few), waitFor(many)
		var a, z load
		for range turns {
			a, z = a.and(one()), z.and(other())
		}
		b.ReportMetric(micro(a.each()), "us-of-1000")
		b.ReportMetric(micro(z.each()), "us-of-100000")
		b.ReportMetric(float64(z.each())/float64(a.each()), "x")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkRestart kills a bridge that waits for 100,000 people and starts it
// again, when every poll is due.
//
//	ready-s    until it is ready
//	most-s     until it has asked about 99 in 100
//	polled-s   until it has asked about everybody: whom it was asking about when it
//	           was killed comes one interval later, of a minute
func BenchmarkRestart(b *testing.B) {
	const waiting, interval = 100_000, time.Minute
	for b.Loop() {
		r := newRig(b, "")
		r.seed(waiting, time.Now(), interval, 0)
		r.start()
		r.until("some are asked about", func() bool { return r.polled().SignIns > waiting/10 })
		if err := r.bridge.Kill(); err != nil {
			b.Fatal(err)
		}
		before, began := r.polled().SignIns, time.Now()
		ready := r.start()
		r.until("most are asked about", func() bool { return r.polled().SignIns >= waiting*99/100 })
		most := time.Since(began)
		r.until("all are asked about", func() bool { return r.polled().SignIns == waiting })
		b.ReportMetric(ready.Seconds(), "ready-s")
		b.ReportMetric(most.Seconds(), "most-s")
		b.ReportMetric(time.Since(began).Seconds(), "polled-s")
		b.ReportMetric(float64(waiting*99/100-before)/most.Seconds(), "polls/s")
	}
	b.ReportMetric(0, "ns/op")
}
