package world

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

// Start builds a world, and returns when the bridge is connected and every car
// has been introduced to it. The end of ctx interrupts the building, and means
// nothing afterwards.
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
	if err := w.Await(wait, w.carsWelcomed); err != nil {
		return err
	}
	return w.writeGuide(addresses)
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
