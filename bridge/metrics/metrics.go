// Package metrics counts and times what a bridge does, for Prometheus.
//
// A [Set] has a registry of its own and no global state. Every method may be
// called on a nil *Set, which counts nothing and costs a comparison.
//
// # Labels
//
// Every label has a closed set of values, made when the Set is made, so a series
// exists before its first event and their number never grows. What is not in
// the set counts as "other". No label ever holds a device, a person, a scope or
// anything that a device or a provider has written.
package metrics

import (
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// prefix begins the name of every metric of a bridge.
const prefix = "carillon_bridge_"

// A Set is the metrics of one bridge. Its methods may be called concurrently.
type Set struct {
	registry *prometheus.Registry

	messages messages
	requests requests
	provider provider
	store    storage
	spans    family[prometheus.Counter]
}

// New returns a Set whose registry also has the metrics of the process and of
// the Go runtime.
func New() *Set {
	s := &Set{registry: prometheus.NewRegistry()}
	s.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(),
	)
	s.messages = s.newMessages()
	s.requests = s.newRequests()
	s.provider = s.newProvider()
	s.store = s.newStorage()
	s.spans = s.newSpans()
	return s
}

// Registry is where the metrics are gathered from; nil of a nil Set.
func (s *Set) Registry() *prometheus.Registry {
	if s == nil {
		return nil
	}
	return s.registry
}

func buildInfo() prometheus.Collector {
	labels := prometheus.Labels{"version": "unknown", "goversion": ""}
	if info, ok := debug.ReadBuildInfo(); ok {
		labels["version"], labels["goversion"] = info.Main.Version, info.GoVersion
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: prefix + "build_info", Help: "Which build this is; always 1.", ConstLabels: labels,
	})
	g.Set(1)
	return g
}

func (s *Set) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
	s.registry.MustRegister(c)
	return c
}

func (s *Set) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets})
	s.registry.MustRegister(h)
	return h
}

// A family is one metric for each value of a label.
type family[M any] struct {
	of    map[string]M
	other M
}

// other is the value of whatever is not in the closed set.
const other = "other"

// newFamily makes the metrics of all values with make, which gets the value of
// the label.
func newFamily[M any](values []string, make func(value string) M) family[M] {
	f := family[M]{of: map[string]M{}, other: make(other)}
	for _, v := range values {
		f.of[v] = make(v)
	}
	return f
}

func (f family[M]) with(value string) M {
	if m, ok := f.of[value]; ok {
		return m
	}
	return f.other
}

func (s *Set) counters(name, help, label string, values []string) family[prometheus.Counter] {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, []string{label})
	s.registry.MustRegister(vec)
	return newFamily(values, func(v string) prometheus.Counter { return vec.WithLabelValues(v) })
}

func (s *Set) gauges(name, help, label string, values []string) map[string]prometheus.Gauge {
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + name, Help: help}, []string{label})
	s.registry.MustRegister(vec)
	all := make(map[string]prometheus.Gauge)
	for _, v := range values {
		all[v] = vec.WithLabelValues(v)
	}
	return all
}

func (s *Set) histograms(name, help, label string, values []string, buckets []float64) family[prometheus.Observer] {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets}, []string{label})
	s.registry.MustRegister(vec)
	return newFamily(values, func(v string) prometheus.Observer { return vec.WithLabelValues(v) })
}

// What people do takes seconds to minutes, what machines do milliseconds to
// seconds, and what a vehicle's radio does anything between.
var (
	peopleBuckets  = []float64{1, 2.5, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600}
	machineBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 40}
	radioBuckets   = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600}
)
