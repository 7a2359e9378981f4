package fleet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/device-sim/world/wiretap"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// personOf is who sits in the device of a number from 0.
func personOf(i int) provider.Person {
	return provider.Person{
		Subject: fmt.Sprintf("p-%d", i), Name: fmt.Sprintf("Person %d", i), Email: fmt.Sprintf("p%d@example.com", i),
	}
}

// numberOf is the inverse of personOf, of a subject.
func numberOf(subject string) (i int, err error) {
	_, err = fmt.Sscanf(subject, "p-%d", &i)
	return i, err
}

// scope is what drivers ask for.
const scope = "seat climate profile"

// A device is an agent with its connection. Its outbox is in memory: the one disk
// here is not those of thousands.
type device struct {
	number int
	agent  *agent.Agent
	link   *link.Link
	// radio carries MQTT, carrier the TLS around it.
	radio, carrier wiretap.Meter
	load           *load

	mu   sync.Mutex // guards asks and what they point to
	asks map[schemas.ID]*signIn
}

// network is what devices know of the world.
type network struct {
	broker, host string // host:port, and the name in the broker's certificate
	roots        *x509.CertPool
	brokerRoots  *x509.CertPool
	backoff      time.Duration // the first, of each device
	log          *slog.Logger
}

// A fleet spreads its return over a second for each thousand devices, as
// docs/brokers.md advises.
const (
	backoffEach = time.Millisecond
	minBackoff  = time.Second
	maxBackoff  = 2 * time.Minute
)

// queue is how many messages may wait for an agent, which never lets one wait. The
// default would take a quarter of a device's memory.
const queue = 16

// newDevice builds a device that does nothing until it runs.
func newDevice(number int, cert *tls.Certificate, n network, l *load) (*device, error) {
	d := &device{number: number, load: l, asks: map[schemas.ID]*signIn{}}
	log := n.log.With("number", number)
	var err error
	d.agent, err = agent.New(agent.Config{
		Certificate: mtls.Fixed(cert), Roots: n.roots, Store: new(outbox.Memory), Logger: log,
		Publisher: publisher(func(ctx context.Context, topic string, p []byte) error { return d.link.Publish(ctx, topic, p) }),
		Hurry:     func() { d.link.Wake() },
	})
	if err != nil {
		return nil, err
	}
	secure := mtls.ClientConfig(n.brokerRoots, mtls.Fixed(cert), n.host)
	secure = mtls.RequireRole(mtls.TolerateClock(secure, d.agent.Now), mtls.RoleBroker)
	d.link, err = link.New(link.Config{
		Dial: d.dialer(n.broker, secure), ClientID: string(d.agent.Device()), Subscribe: []string{d.agent.DownTopic()},
		Handler: d.agent.Handle, OnUp: d.agent.Connected, OnDown: d.agent.Disconnected, Logger: log,
		Queue: queue, MinBackoff: n.backoff, MaxBackoff: maxBackoff,
	})
	return d, err
}

// publisher is a link that is made after the agent.
type publisher func(ctx context.Context, topic string, payload []byte) error

func (p publisher) Publish(ctx context.Context, topic string, payload []byte) error {
	return p(ctx, topic, payload)
}

// dialer is link.TLSDialer with meters inside and outside of TLS.
func (d *device) dialer(address string, cfg *tls.Config) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		tcp, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		conn := tls.Client(d.carrier.Conn(tcp), cfg)
		if err := conn.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, tcp.Close())
		}
		return d.radio.Conn(conn), nil
	}
}

// run works until ctx ends.
func (d *device) run(ctx context.Context) error {
	events := d.agent.Watch(ctx)
	var group errgroup.Group
	group.Go(func() error { return d.agent.Run(ctx) })
	group.Go(func() error { return d.link.Run(ctx) })
	for e := range events {
		if e.SignIn != nil {
			d.heard(*e.SignIn, time.Now())
		}
	}
	return group.Wait()
}

// introduced waits until a bridge has welcomed the device.
func (d *device) introduced(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if s := d.agent.Status(); s.Connected && s.Introduced {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("device %s: not introduced to a bridge: %w", d.agent.Device(), context.Cause(ctx))
		}
	}
}

// ask begins a sign-in. The person is named by a hint the first time, and then
// by the handle that the device has learnt.
func (d *device) ask(ctx context.Context, s *signIn, expiry time.Duration) error {
	r := agent.Request{Scope: scope, Expiry: expiry, LoginHint: personOf(d.number).Email}
	if people := d.agent.Status().People; len(people) > 0 {
		r.Person, r.LoginHint = strconv.Itoa(people[0].Number), ""
	}
	d.mu.Lock() // the first event may come before SignIn has returned
	defer d.mu.Unlock()
	id, err := d.agent.SignIn(ctx, r)
	if err != nil {
		return fmt.Errorf("device %s: %w", d.agent.Device(), err)
	}
	d.asks[id] = s
	return nil
}

// heard is told how far a sign-in has come.
func (d *device) heard(e agent.SignIn, at time.Time) {
	d.mu.Lock()
	var what news
	s := d.asks[e.ID]
	if s != nil {
		what = s.follow(e, d.load.since(at))
	}
	d.mu.Unlock()
	switch what {
	case rings:
		d.load.ringing.Add(1)
	case ends:
		d.load.over(d, s.Outcome)
	}
}
