package bridge_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/schemas"
)

// failing is a provider that answers with a fault until it is mended.
func failing(fault cibatest.Fault) (op *cibatest.Provider, mend func()) {
	var good atomic.Bool
	op = &cibatest.Provider{AutoApprove: 3 * time.Second}
	op.Backchannel = func(int) cibatest.Fault {
		if good.Load() {
			return nil
		}
		return fault
	}
	return op, func() { good.Store(true) }
}

// A provider that has failed five times in a row is left alone: what comes then
// is told to come back and costs it nothing, until one request has tried it.
func TestCircuit(t *testing.T) {
	op, mend := failing(cibatest.Busy(503, 0))
	inWorld(t, op, func(w *world) {
		w.start()
		for i := range 5 {
			car := w.car(fmt.Sprintf("car-%d", i))
			car.refused(car.signIn(fmt.Sprintf("p%d@example.com", i)), schemas.ProviderUnavailable)
		}
		calls := op.Stats().Backchannel
		if calls != 5 {
			t.Fatalf("%d calls for 5 requests", calls)
		}
		car := w.car("car-5")
		m := car.signIn("p5@example.com")
		car.send(m)
		w.until("busy", time.Second, func() bool { r := car.refusal(m.ID); return r != nil && r.Code == schemas.Busy && r.RetryAfter > 0 })
		if n := op.Stats().Backchannel; n != calls {
			t.Errorf("the provider was asked %d times more", n-calls)
		}
		mend()
		time.Sleep(2 * time.Second) // the first pause, and the chance in it
		car.send(m)                 // as the agent does
		if _, ok := car.await(m.ID, 30*time.Second).(*schemas.Granted); !ok {
			t.Error("the request that tried the provider was not granted")
		}
		if n := w.count("circuits"); n != 0 {
			t.Error("the failures are not forgotten")
		}
	})
}

// A provider that says how long it wants to be left alone is left alone so long,
// by the first failure.
func TestCircuitRetryAfter(t *testing.T) {
	op, mend := failing(cibatest.Busy(429, 30*time.Second))
	inWorld(t, op, func(w *world) {
		w.start()
		first := w.car("car-1")
		if r := first.refused(first.signIn("anna@example.com"), schemas.ProviderUnavailable); r.RetryAfter < 30 {
			t.Errorf("retry after %d s, want the provider's 30", r.RetryAfter)
		}
		mend()
		second := w.car("car-2")
		m := second.signIn("bela@example.com")
		second.send(m)
		w.until("busy", time.Second, func() bool {
			r := second.refusal(m.ID)
			return r != nil && r.Code == schemas.Busy && r.RetryAfter >= 25
		})
		if n := op.Stats().Backchannel; n != 1 {
			t.Errorf("the provider was asked %d times, want once", n)
		}
		time.Sleep(38 * time.Second)
		second.send(m)
		if _, ok := second.await(m.ID, 30*time.Second).(*schemas.Granted); !ok {
			t.Error("not granted when the time was over")
		}
	})
}

// What a provider takes in all is nobody's fault at a device: it is told to come
// back, and need not ask the person again.
func TestProviderQuotaIsBusy(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: 3 * time.Second}
	inWorld(t, op, func(w *world) {
		w.policy.PerProvider = policy.Rate{Burst: 1, Every: 20 * time.Second}
		w.start()
		first, second := w.car("car-1"), w.car("car-2")
		first.grant(first.signIn("anna@example.com"))
		m := second.signIn("bela@example.com")
		second.send(m)
		w.until("busy", time.Second, func() bool { r := second.refusal(m.ID); return r != nil && r.Code == schemas.Busy && r.RetryAfter > 5 })
		time.Sleep(20 * time.Second)
		second.grant(m)
	})
}
