// Package world is Carillon on one machine: an authority, a broker, a bridge,
// an OpenID provider, a settings API, cars and phones, each the part that is
// deployed elsewhere too, wired together over the loopback interface as an
// operator would wire them: every certificate is enrolled with a one-time token
// at the authority's own API, the bridge reads a configuration file, the cars
// know nothing but addresses and roots.
//
//	w, err := world.Start(ctx, world.Config{Observe: func(e world.Event) { fmt.Println(e.Who, e.Text) }})
//	defer w.Close()
//	w.Car("blue").Ask(ctx, world.Ask{Hint: "anna@example.com", Scope: "seat"})
//
// A world owns every goroutine, listener, process and file that it begins, and
// Close ends and removes them all.
package world

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/device-sim/world/wiretap"
	"github.com/carillon-iot/carillon/pki"
)

// loopback is where everything listens.
const loopback = "127.0.0.1"

// startTimeout bounds the wait for the first connections.
const startTimeout = 15 * time.Second

// CarNames returns the names of the cars: blue and red.
func CarNames() []string { return []string{"blue", "red"} }

// Config says what world to build. The zero value is usable.
type Config struct {
	// Dir keeps certificates, keys, state and logs. It must be empty or missing,
	// and is kept. Empty means a temporary directory that Close removes.
	Dir string
	// Interval is how often the provider lets itself be polled, in whole seconds.
	// Zero means one.
	Interval time.Duration
	// BridgeProcess runs the bridge as a process of its own, so that it can be
	// killed; the program must call BridgeChild first thing. False runs it in this
	// process.
	BridgeProcess bool
	// Clocks are cars' own clocks, by name. A car that is missing has the
	// machine's.
	Clocks map[string]func() time.Time
	// Observe is told what happens, in order and one at a time. It must not call
	// the world. Nil tells nobody.
	Observe func(Event)
	// Logger hears what the parts log. Nil writes it to world.log in Dir.
	Logger *slog.Logger
}

// A World is up between Start and Close. All methods may be called concurrently.
type World struct {
	cfg     Config
	dir     string
	remove  bool // dir, at the end
	log     *os.File
	journal *journal
	secret  string // the bridge's, at the provider

	authority    *pki.Authority
	authorityURL string
	roots        *x509.CertPool
	issuer       string // of tokens: the provider's URL
	broker       *brokerPart
	bridge       *bridgePart
	provider     *provider.Provider
	people       []*Person
	cars         []*Car

	mu      sync.Mutex // guards the fields below
	parts   []*part    // in the order of their beginning
	count   map[provider.EventKind]int
	failure error
	failed  chan struct{} // closed when failure is set
	closed  bool
}

// Start builds a world, and returns when the bridge is connected and every car
// has been introduced to it. The end of ctx interrupts the building, and means nothing afterwards.
func Start(ctx context.Context, cfg Config) (*World, error) {
	if cfg.Interval == 0 {
		cfg.Interval = time.Second
	}
	w := &World{
		cfg: cfg, journal: newJournal(cfg.Observe), secret: rand.Text(),
		count: map[provider.EventKind]int{}, failed: make(chan struct{}),
	}
	if err := w.build(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	took := w.journal.begin()
	w.journal.tell(Event{Who: "world", What: "up", Text: fmt.Sprintf(
		"is up after %d ms: authority, broker, provider, settings API, bridge, %d cars, %d phones", took.Milliseconds(), len(w.cars), len(w.people))})
	return w, nil
}

func (w *World) build(ctx context.Context) error {
	if err := w.makeDir(); err != nil {
		return err
	}
	if err := w.startAuthority(); err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	addresses, err := listenAll()
	if err != nil {
		return err
	}
	w.issuer = "https://" + addresses.provider.Addr().String()
	if err := w.startAll(ctx, addresses); err != nil {
		return errors.Join(err, addresses.close())
	}
	wait, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	// A car that introduces itself to nobody would have to repeat it.
	if err := w.Await(wait, w.bridgeConnected); err != nil {
		return err
	}
	for _, c := range w.cars {
		w.begin(c.who(), c.run)
	}
	return w.Await(wait, w.carsWelcomed)
}

// startAll starts side by side what can: everybody but the authority. Who is
// early waits at the others' listeners, which are open already.
func (w *World) startAll(ctx context.Context, a addresses) error {
	w.cars = make([]*Car, len(CarNames()))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.startProvider(ctx, a) })
	group.Go(func() error { return w.startSettings(ctx, a) })
	group.Go(func() error { return w.startBroker(ctx, a.broker) })
	group.Go(func() error { return w.startBridge(ctx, a.broker.Addr().String()) })
	for i, name := range CarNames() {
		group.Go(func() (err error) {
			w.cars[i], err = w.newCar(ctx, name, a)
			return err
		})
	}
	return group.Wait()
}

// carsWelcomed is when every car is connected and has been introduced to the
// bridge.
func (w *World) carsWelcomed() error {
	for _, c := range w.cars {
		if _, ok := c.SealingKey(); !ok {
			return fmt.Errorf("the %s car has no welcome from the bridge", c.Name)
		}
	}
	return nil
}

// addresses are the listeners whose ports others must know.
type addresses struct{ provider, settings, broker net.Listener }

func (a addresses) settingsURL() string { return "https://" + a.settings.Addr().String() }

func listenAll() (a addresses, err error) {
	for _, l := range []*net.Listener{&a.provider, &a.settings, &a.broker} {
		if *l, err = net.Listen("tcp", net.JoinHostPort(loopback, "0")); err != nil {
			return a, errors.Join(err, a.close())
		}
	}
	return a, nil
}

// close closes what nobody serves yet; to close a listener twice is no error.
func (a addresses) close() error {
	var errs []error
	for _, l := range []net.Listener{a.provider, a.settings, a.broker} {
		if l == nil {
			continue
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Car returns the car of a name of CarNames.
func (w *World) Car(name string) *Car {
	i := slices.IndexFunc(w.cars, func(c *Car) bool { return c.Name == name })
	return w.cars[i]
}

// People returns everybody who has a phone.
func (w *World) People() []*Person { return slices.Clone(w.people) }

// Person returns somebody by Key, nil if there is nobody.
func (w *World) Person(key string) *Person {
	for _, p := range w.people {
		if p.Key() == key {
			return p
		}
	}
	return nil
}

// Radio is the bytes of MQTT that all cars have carried.
func (w *World) Radio() wiretap.Count {
	var sum wiretap.Count
	for _, c := range w.cars {
		n := c.Tap.Count()
		sum.Up, sum.Down = sum.Up+n.Up, sum.Down+n.Down
	}
	return sum
}

// Pushes is how many requests the provider has accepted for all people.
func (w *World) Pushes() int {
	n := 0
	for _, p := range w.people {
		n += p.Rings()
	}
	return n
}

// ProviderCount is how often something has happened at the provider.
func (w *World) ProviderCount(k provider.EventKind) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count[k]
}

// Close ends everything, the latest part first, and removes a temporary
// directory. It may be called more than once.
func (w *World) Close() error {
	w.mu.Lock()
	again, parts := w.closed, slices.Clone(w.parts)
	w.closed = true
	w.mu.Unlock()
	if again {
		return nil
	}
	w.journal.hush()
	var errs []error
	for _, p := range slices.Backward(parts) {
		errs = append(errs, p.stop())
	}
	if w.authority != nil {
		errs = append(errs, w.authority.Close())
	}
	if w.bridge != nil {
		errs = append(errs, w.bridge.output.Close())
	}
	if w.log != nil {
		errs = append(errs, w.log.Close())
	}
	if w.remove {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}
