package world

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/broker/link"
	api "github.com/carillon-iot/carillon/device-sim/settings"
	"github.com/carillon-iot/carillon/device-sim/world/wiretap"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// A Car is a vehicle with the agent in it, as carillon-agent would run it.
type Car struct {
	// Name is how people call it: "blue".
	Name string
	// Device is its name on the wire.
	Device schemas.DeviceID
	// Vehicle is what settings are applied to.
	Vehicle *vehicle.Memory
	// Tap listens to the MQTT on its radio, Carrier to the TLS around it.
	Tap     *wiretap.Tap
	Carrier wiretap.Meter

	journal *journal
	files   *mtls.Files
	records *outbox.Dir // closed by close
	closing sync.Once
	agent   *agent.Agent
	link    *link.Link

	session agent.Session // as told last; owned by follow

	mu     sync.Mutex // guards the fields below
	told   wiretap.Count
	asked  schemas.ID               // the latest sign-in
	before map[string]vehicle.Value // as it was when that began, nobody signed in
	cost   map[schemas.Kind]wiretap.Count
	number map[schemas.Kind]int
	linked wiretap.Count              // what connecting and subscribing has cost
	sent   map[schemas.Kind][]byte    // the latest payload of each kind that went up
	got    map[[sha256.Size]byte]bool // what came down, by its hash
	seal   *schemas.PublicKey         // the bridge's, from the latest welcome
	lost   int

	restoring bool // a session has ended, and the vehicle is not yet as it was
}

// carConfig is what a car must know of the world.
type carConfig struct {
	name     string
	dir      string
	roots    *x509.CertPool
	broker   string // host:port
	settings string // URL
	clock    func() time.Time
	journal  *journal
	logger   *slog.Logger
}

// newCar builds a car that is not enrolled yet.
func newCar(cfg carConfig) (*Car, error) {
	dir := filepath.Join(cfg.dir, cfg.name+"-car")
	c := &Car{
		Name: cfg.name, Device: schemas.NewDeviceID(), Vehicle: vehicle.NewMemory(nil), journal: cfg.journal,
		files: &mtls.Files{CertFile: filepath.Join(dir, "device.pem"), KeyFile: filepath.Join(dir, "device.key"), Logger: cfg.logger},
		cost:  map[schemas.Kind]wiretap.Count{}, number: map[schemas.Kind]int{},
		sent: map[schemas.Kind][]byte{}, got: map[[sha256.Size]byte]bool{},
	}
	c.Tap = wiretap.New(c.heard)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	c.records, err = outbox.Open(filepath.Join(dir, "outbox"), cfg.logger)
	return c, err
}

// fit puts the agent into an enrolled car.
func (c *Car) fit(cfg carConfig) error {
	host, _, err := net.SplitHostPort(cfg.broker)
	if err != nil {
		return err
	}
	now := func() time.Time { return c.agent.Now() } // there is one before anybody asks
	hc, err := settings.NewHTTP(cfg.settings, cfg.roots, now)
	if err != nil {
		return err
	}
	secure := mtls.TolerateClock(mtls.ClientConfig(cfg.roots, c.files.Certificate, host), now)
	c.link, err = link.New(link.Config{
		Dial:       c.Tap.Dial(c.dialer(cfg.broker, secure)),
		ClientID:   string(c.Device),
		Subscribe:  []string{schemas.DownTopic(c.Device).String()},
		Handler:    func(topic string, payload []byte) { c.agent.Handle(topic, payload) },
		OnUp:       func() { c.agent.Connected() },
		OnDown:     func(err error) { c.agent.Disconnected(err) },
		MinBackoff: 50 * time.Millisecond, MaxBackoff: time.Second,
		Logger: cfg.logger,
	})
	if err != nil {
		return err
	}
	c.agent, err = agent.New(agent.Config{
		Certificate: c.files.Certificate, Roots: cfg.roots, Publisher: c.link, Hurry: c.link.Wake, Store: c.records,
		Vehicle: c.Vehicle, Settings: &settings.Client{URL: cfg.settings, HTTP: hc},
		Clock: cfg.clock, Logger: cfg.logger,
	})
	return err
}

// dialer is link.TLSDialer with a meter beneath the TLS.
func (c *Car) dialer(address string, cfg *tls.Config) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		tcp, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		conn := tls.Client(c.Carrier.Conn(tcp), cfg)
		if err := conn.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, tcp.Close())
		}
		return conn, nil
	}
}

// close lets go of the car's files. It may be called more than once.
func (c *Car) close() (err error) {
	c.closing.Do(func() { err = c.records.Close() })
	return err
}

func (c *Car) run(ctx context.Context) error {
	events := c.agent.Watch(ctx)
	var group errgroup.Group
	group.Go(func() error { return c.agent.Run(ctx) })
	group.Go(func() error { return c.link.Run(ctx) })
	group.Go(func() error {
		for e := range events {
			c.follow(e)
		}
		return nil
	})
	changes := c.Vehicle.Watch(ctx)
	group.Go(func() error {
		for range changes {
			c.watchRestored()
		}
		return nil
	})
	if err := group.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: %w", c.who(), err)
	}
	return nil
}

// newCar enrols a car and builds the agent into it.
func (w *World) newCar(ctx context.Context, name string, a addresses) (*Car, error) {
	clock := w.cfg.Clocks[name]
	if clock == nil {
		clock = time.Now
	}
	cfg := carConfig{
		name: name, dir: w.dir, roots: w.roots, broker: a.broker.Addr().String(),
		settings: a.settingsURL() + api.Path, clock: clock, journal: w.journal, logger: w.cfg.Logger.With("part", name+" car"),
	}
	c, err := newCar(cfg)
	if err != nil {
		return nil, fmt.Errorf("%s car: %w", name, err)
	}
	if err = w.enrolDevice(ctx, c.Device, c.files, clock); err == nil {
		err = c.fit(cfg)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", c.who(), err), c.close())
	}
	return c, nil
}
