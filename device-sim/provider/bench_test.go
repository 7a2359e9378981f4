package provider_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

// A sign-in is an authentication request, a poll that finds nothing, the
// approval, and the poll that gets the tokens; all in one process, without a
// network, client and provider together.
func BenchmarkSignIn(b *testing.B) {
	const people = 256
	cfg := config(b)
	for i := range people {
		cfg.People = append(cfg.People, provider.Person{Subject: fmt.Sprint("p-", i), Name: "P", Email: fmt.Sprint(i, "@example.com")})
	}
	r := newRig(b, cfg)
	var next atomic.Int64
	start := time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		person := fmt.Sprint("p-", next.Add(1)%people)
		for pb.Next() {
			ack := r.post("/bc-authorize", "scope", "openid seat", "login_hint", person, "binding_message", "K7-4Q")
			r.poll(ack.str("auth_req_id")).want(b, 400, "authorization_pending")
			for _, req := range r.op.Pending(person) {
				if err := r.op.Approve(b.Context(), req.ID, provider.Approval{}); err != nil {
					b.Error(err)
				}
			}
			if a := r.poll(ack.str("auth_req_id")); a.status != 200 {
				b.Errorf("%d %v", a.status, a.json)
			}
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "sign-ins/s")
}
