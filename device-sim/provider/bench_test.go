package provider_test

import (
	"testing"
	"time"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

// A sign-in is an authentication request, a poll that finds nothing, the
// approval, and the poll that gets the tokens; all in one process, without a
// network.
func BenchmarkSignIn(b *testing.B) {
	r := newRig(b, config(b))
	b.ReportAllocs()
	start := time.Now()
	for b.Loop() {
		id, req := r.ring()
		r.poll(id).want(b, 400, "authorization_pending")
		if err := r.op.Approve(b.Context(), req.ID, provider.Approval{}); err != nil {
			b.Fatal(err)
		}
		if a := r.poll(id); a.status != 200 {
			b.Fatalf("%d %v", a.status, a.json)
		}
	}
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "sign-ins/s")
}
