package broker_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// benchBroker is a broker on loopback, without a bound on rates.
type benchBroker struct {
	*mtlstest.Authority
	addr string
}

func startBench(b *testing.B) *benchBroker {
	b.Helper()
	authority := mtlstest.New(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	br, err := broker.New(broker.Config{
		Listener: l, Logger: quiet(),
		TLS:    mtls.ServerConfig(authority.Roots(), mtls.Fixed(authority.Broker("127.0.0.1")), nil),
		Limits: broker.Limits{DeviceRate: 1e6, DeviceBurst: 1e6, BridgeRate: 1e6, BridgeBurst: 1e6, WriteQueue: 8192},
	})
	if err != nil {
		b.Fatal(err)
	}
	go br.Run(context.Background())
	b.Cleanup(func() { br.Close() })
	return &benchBroker{authority, l.Addr().String()}
}

func (bb *benchBroker) link(b *testing.B, cert *tls.Certificate, filter string, handler func(string, []byte)) *link.Link {
	b.Helper()
	who, err := mtls.IdentityOf(cert.Leaf)
	if err != nil {
		b.Fatal(err)
	}
	up := make(chan struct{}, 1)
	cfg := link.Config{
		Dial:     link.TLSDialer(bb.addr, mtls.ClientConfig(bb.Roots(), mtls.Fixed(cert), "127.0.0.1")),
		ClientID: who.ClientID(), Logger: quiet(), Queue: 4096, OnUp: func() { up <- struct{}{} },
	}
	if filter != "" {
		cfg.Subscribe, cfg.Handler = []string{filter}, handler
	}
	l, err := link.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	go l.Run(context.Background())
	b.Cleanup(func() { l.Close() })
	<-up
	return l
}

// A message of the size of a sign-in, from one device to the broker and its
// acknowledgement back, TLS included.
func BenchmarkPublish(b *testing.B) {
	bb := startBench(b)
	d := bb.link(b, bb.Device("d1"), "", nil)
	payload := make([]byte, 192)
	for b.Loop() {
		if err := d.Publish(b.Context(), "carillon/v1/d1/up", payload); err != nil {
			b.Fatal(err)
		}
	}
}

// From a device to a bridge and the answer back: four acknowledged hops.
func BenchmarkThereAndBack(b *testing.B) {
	bb := startBench(b)
	var bridge *link.Link
	ready := make(chan struct{})
	bridge = bb.link(b, bb.Bridge("b1"), schemas.UpFilter, func(topic string, payload []byte) {
		<-ready
		up, _ := schemas.ParseTopic(topic)
		_ = bridge.Publish(context.Background(), schemas.DownTopic(up.Device).String(), payload)
	})
	close(ready)
	answers := make(chan struct{}, 1)
	d := bb.link(b, bb.Device("d1"), "carillon/v1/d1/down", func(string, []byte) { answers <- struct{}{} })
	payload := make([]byte, 192)
	for b.Loop() {
		if err := d.Publish(b.Context(), "carillon/v1/d1/up", payload); err != nil {
			b.Fatal(err)
		}
		<-answers
	}
}

// Many devices at once, one bridge: what one broker carries, and whether it
// loses anything.
func BenchmarkManyDevices(b *testing.B) {
	const devices = 100
	bb := startBench(b)
	var received atomic.Int64
	bb.link(b, bb.Bridge("b1"), schemas.UpFilter, func(string, []byte) { received.Add(1) })
	links := make(chan *link.Link, devices)
	topics := map[*link.Link]string{}
	for i := range devices {
		id := fmt.Sprint("d", i)
		l := bb.link(b, bb.Device(id), "", nil)
		topics[l] = "carillon/v1/" + id + "/up"
		links <- l
	}
	payload := make([]byte, 192)
	b.SetParallelism(devices / 2)
	var sent atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		l := <-links
		defer func() { links <- l }()
		for pb.Next() {
			if err := l.Publish(b.Context(), topics[l], payload); err != nil {
				b.Error(err)
				return
			}
			sent.Add(1)
		}
	})
	b.ReportMetric(float64(sent.Load())/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(sent.Load()-received.Load())/float64(sent.Load())*100, "%unread") // what is still on its way, or lost
}

// From the first TCP packet to the granted subscription.
func BenchmarkConnect(b *testing.B) {
	bb := startBench(b)
	cert := bb.Device("d1")
	for b.Loop() {
		l := bb.link(b, cert, "carillon/v1/d1/down", func(string, []byte) {})
		l.Close()
	}
}
