package main

import (
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/pki/mtls"
)

const prefix = "carillon_broker_"

// newMetrics returns the metrics of a broker, besides those of the process and
// of the Go runtime. List may be nil.
func newMetrics(b *broker.Broker, files *mtls.Files, list *mtls.RevocationList) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(),
		newCollector(b.Stats),
		stamp("certificate_expiry_timestamp_seconds", "When the broker's certificate ends, seconds since 1970; 0 for none.", func() time.Time {
			cert, err := files.Certificate()
			if err != nil {
				return time.Time{}
			}
			return cert.Leaf.NotAfter
		}),
	)
	if list != nil {
		r.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + "revocations", Help: "Revoked certificates known."},
				func() float64 { return float64(list.Status().Entries) }),
			stamp("revocations_timestamp_seconds", "When the revocation list last came, seconds since 1970; 0 for never.",
				func() time.Time { return list.Status().Fetched }),
		)
	}
	return r
}

// stamp exports an instant; 0 for the zero time.
func stamp(name, help string, at func() time.Time) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + name, Help: help}, func() float64 {
		if t := at(); !t.IsZero() {
			return float64(t.Unix())
		}
		return 0
	})
}

func buildInfo() prometheus.Collector {
	labels := prometheus.Labels{"version": "unknown", "goversion": ""}
	if info, ok := debug.ReadBuildInfo(); ok {
		labels["version"], labels["goversion"] = info.Main.Version, info.GoVersion
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + "build_info", Help: "Which build this is; always 1.", ConstLabels: labels})
	g.Set(1)
	return g
}

// A collector exports broker.Stats, one snapshot for all of its metrics.
type collector struct {
	look    func() broker.Stats
	metrics []metric
}

type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(broker.Stats) float64
}

func newCollector(look func() broker.Stats) *collector {
	c := &collector{look: look}
	add := func(kind prometheus.ValueType, name, help string, value func(broker.Stats) float64) {
		c.metrics = append(c.metrics, metric{prometheus.NewDesc(prefix+name, help, nil, nil), kind, value})
	}
	gauge := func(name, help string, value func(broker.Stats) int) {
		add(prometheus.GaugeValue, name, help, func(s broker.Stats) float64 { return float64(value(s)) })
	}
	counter := func(name, help string, value func(broker.Stats) uint64) {
		add(prometheus.CounterValue, name+"_total", help, func(s broker.Stats) float64 { return float64(value(s)) })
	}
	gauge("devices", "Connected devices.", func(s broker.Stats) int { return s.Devices })
	gauge("bridges", "Connected bridges.", func(s broker.Stats) int { return s.Bridges })
	gauge("pending", "Connections that have not got as far as MQTT.", func(s broker.Stats) int { return s.Pending })
	counter("accepted", "TCP connections.", func(s broker.Stats) uint64 { return s.Accepted })
	counter("evicted", "Slow connections that lost their place to newer ones.", func(s broker.Stats) uint64 { return s.Evicted })
	counter("handshakes_failed", "TLS handshakes that failed.", func(s broker.Stats) uint64 { return s.HandshakesFailed })
	counter("refused", "Connections refused after the handshake.", func(s broker.Stats) uint64 { return s.Refused })
	counter("sessions", "Accepted CONNECTs.", func(s broker.Stats) uint64 { return s.Sessions })
	counter("takeovers", "Sessions that replaced one of the same identity.", func(s broker.Stats) uint64 { return s.Takeovers })
	counter("revoked", "Sessions ended because of a revocation.", func(s broker.Stats) uint64 { return s.Revoked })
	counter("expired", "Sessions ended because the certificate had expired.", func(s broker.Stats) uint64 { return s.Expired })
	counter("panics", "Sessions ended by a defect of the broker.", func(s broker.Stats) uint64 { return s.Panics })
	counter("messages_in", "Messages received.", func(s broker.Stats) uint64 { return s.MessagesIn })
	counter("messages_out", "Messages sent.", func(s broker.Stats) uint64 { return s.MessagesOut })
	counter("bytes_in", "Bytes of MQTT received.", func(s broker.Stats) uint64 { return s.BytesIn })
	counter("bytes_out", "Bytes of MQTT sent.", func(s broker.Stats) uint64 { return s.BytesOut })
	counter("publishes_denied", "Messages dropped because the sender may not.", func(s broker.Stats) uint64 { return s.PublishesDenied })
	counter("subscriptions_denied", "Topic filters refused.", func(s broker.Stats) uint64 { return s.SubscriptionsDenied })
	counter("throttled", "Packets that had to wait for their sender's rate.", func(s broker.Stats) uint64 { return s.Throttled })
	counter("overflowed", "Messages dropped because the receiver's queue was full.", func(s broker.Stats) uint64 { return s.Overflowed })
	counter("unacknowledged", "Messages dropped because the receiver had acknowledged too few.", func(s broker.Stats) uint64 { return s.Unacknowledged })
	return c
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		to <- m.desc
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(to chan<- prometheus.Metric) {
	s := c.look()
	for _, m := range c.metrics {
		to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s))
	}
}
