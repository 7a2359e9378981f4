package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/device-sim/world/wiretap"
)

// crowd is all devices. They run from connect to close.
type crowd struct {
	devices   []*device
	connected atomic.Int64

	stop    context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex // guards failed
	failed  error      // of the first device that failed
}

// newCrowd builds devices of their certificates.
func newCrowd(certs []*tls.Certificate, n network, l *load) (*crowd, error) {
	c := &crowd{devices: make([]*device, len(certs)), stop: func() {}}
	for i, cert := range certs {
		var err error
		if c.devices[i], err = newDevice(i, cert, n, l); err != nil {
			return nil, fmt.Errorf("device %d: %w", i, err)
		}
	}
	return c, nil
}

// How devices come up: so many at a time, for handshakes are work, and each soon
// enough that the run is worth waiting for.
const (
	atOnce      = 128
	connectTime = time.Minute
)

// connect starts all devices, and returns when each has been introduced to a
// bridge. The end of ctx means nothing afterwards.
func (c *crowd) connect(ctx context.Context) error {
	life, stop := context.WithCancel(context.Background())
	c.stop = stop
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, d := range c.devices {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.running.Go(func() { c.end(d.run(life)) })
			ctx, cancel := context.WithTimeoutCause(ctx, connectTime, fmt.Errorf("waited for %v", connectTime))
			defer cancel()
			if err := d.introduced(ctx); err != nil {
				return err
			}
			c.connected.Add(1)
			return nil
		})
	}
	return group.Wait()
}

func (c *crowd) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = errors.Join(c.failed, err)
}

// close ends all devices and waits for them. It may be called more than once.
func (c *crowd) close() error {
	c.stop()
	c.running.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// traffic is what all devices have carried so far: MQTT, and TLS around it.
func (c *crowd) traffic() (radio, carrier wiretap.Count) {
	for _, d := range c.devices {
		r, t := d.radio.Count(), d.carrier.Count()
		radio.Up, radio.Down = radio.Up+r.Up, radio.Down+r.Down
		carrier.Up, carrier.Down = carrier.Up+t.Up, carrier.Down+t.Down
	}
	return radio, carrier
}

// connections is how often all devices have connected so far.
func (c *crowd) connections() (n int) {
	for _, d := range c.devices {
		n += int(d.link.Status().Connections)
	}
	return n
}

// hush waits until nobody says anything any more: receipts follow the ends.
func (c *crowd) hush(ctx context.Context) {
	const quiet, longest = 300 * time.Millisecond, 5 * time.Second
	end := time.Now().Add(longest)
	last, _ := c.traffic()
	for time.Now().Before(end) {
		select {
		case <-time.After(quiet):
		case <-ctx.Done():
			return
		}
		now, _ := c.traffic()
		if now == last {
			return
		}
		last = now
	}
}
