package main

import (
	"reflect"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/carillon-iot/carillon/broker"
)

// Every count of the broker is exported under a name of its own, in the order of
// Stats, and as Prometheus wants names and help.
func TestCollector(t *testing.T) {
	var s broker.Stats
	fields := reflect.ValueOf(&s).Elem()
	for i := range fields.NumField() {
		if f := fields.Field(i); f.CanInt() {
			f.SetInt(int64(i + 1))
		} else {
			f.SetUint(uint64(i + 1))
		}
	}
	c := newCollector(func() broker.Stats { return s })
	if len(c.metrics) != fields.NumField() {
		t.Fatalf("%d metrics for %d counts", len(c.metrics), fields.NumField())
	}
	for i, m := range c.metrics {
		if got := m.value(s); got != float64(i+1) {
			t.Errorf("%v exports the count %d, want %s", m.desc, int(got), reflect.TypeOf(s).Field(i).Name)
		}
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
