package bridge_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/bridge/store/pgtest"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// A cluster is bridges that share a PostgreSQL database, between a broker and an
// OpenID provider in memory. It lives in real time, like its database.
type cluster struct {
	t    *testing.T
	ca   *mtlstest.Authority
	op   *cibatest.Provider
	seal *schemas.SealKey
	keys *store.Keyring
	dsn  string
	logs logs

	limits bridge.Limits // of the next start
	atOnce tally         // polls at the provider

	mu       sync.Mutex
	replicas []*replica
	turn     int // of replicas, to get the next message
	cars     map[schemas.DeviceID]*caller
	rang     map[string]int // phones, by hint
}

// A replica is one of the bridges.
type replica struct {
	bridge  *bridge.Bridge
	store   *store.Store
	metrics *metrics.Set
	leaf    *x509.Certificate
	wire    pgtest.Wire // to the database
	dead    atomic.Bool
	client  atomic.Pointer[ciba.Client]
	polls   atomic.Int64
	cancel  context.CancelFunc
	ended   chan error // of Run
}

// newCluster returns a cluster without bridges. Whoever is rung approves after
// the time that think says.
func newCluster(t *testing.T, dsn string, think func() time.Duration) *cluster {
	t.Helper()
	c := &cluster{t: t, ca: mtlstest.New(t), dsn: dsn, cars: make(map[schemas.DeviceID]*caller), rang: make(map[string]int)}
	c.op = &cibatest.Provider{Interval: time.Second}
	c.op.OnRequest = func(r cibatest.Request) {
		c.mu.Lock()
		c.rang[r.Hint]++
		c.mu.Unlock()
		time.AfterFunc(think(), func() { c.op.Approve(r.AuthReqID) })
	}
	c.seal = must(schemas.GenerateSealKey())
	c.keys = must(store.NewKeyring(bytes.Repeat([]byte{7}, store.KeySize)))
	t.Cleanup(c.stop)
	return c
}

// start adds a bridge, of which nothing is configured but the database.
func (c *cluster) start() *replica {
	c.t.Helper()
	cert := c.ca.Bridge(fmt.Sprintf("b%d", len(c.replicas)+1))
	r := &replica{metrics: metrics.New(), leaf: cert.Leaf, ended: make(chan error, 1)}
	cfg := must(pgxpool.ParseConfig(c.dsn))
	cfg.ConnConfig.DialFunc = r.wire.Dial
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	var err error
	if r.store, err = store.Open(ctx, store.Config{Database: store.Postgres{Config: cfg, UnsafeNoSync: true}, Keys: c.keys}); err != nil {
		c.t.Fatal(err)
	}
	r.client.Store(must(ciba.New(ciba.Config{
		Issuer: c.op.IssuerURL(), ClientID: cibatest.ClientID, Auth: authOf(c.t, c.op), HTTPClient: c.op.Client(),
		Delivery: ciba.DeliveryMode(c.op.Delivery),
	})))
	r.bridge = must(bridge.New(bridge.Config{
		Signer:    bridge.FixedSigner(signerOf(c.t, cert)),
		SealKeys:  []*schemas.SealKey{c.seal},
		Devices:   c.ca.Roots(),
		Provider:  counting{mortal{&r.client, &r.dead}, &r.polls, &c.atOnce},
		Issuer:    c.op.IssuerURL(),
		Delivery:  ciba.DeliveryMode(c.op.Delivery),
		Store:     r.store,
		Publisher: clusterBus{c, r},
		Policy:    policy.Default(),
		Limits:    c.limits,
		Metrics:   r.metrics,
		Logger:    slog.New(slog.NewTextHandler(&c.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}))
	go func() { r.ended <- r.bridge.Run(ctx) }()
	c.mu.Lock()
	c.replicas = append(c.replicas, r)
	c.mu.Unlock()
	c.until("the bridge runs", func() bool { return r.bridge.Ready() == nil })
	return r
}

// kill ends a bridge as kill -9 does: nothing of what it does has an effect any
// more, and its connections are gone.
func (c *cluster) kill(r *replica) {
	r.dead.Store(true)
	r.wire.Cut()
	r.cancel()
}

// stop ends all bridges.
func (c *cluster) stop() {
	for _, r := range c.replicas {
		r.cancel()
		if err := <-r.ended; err != nil && !r.dead.Load() {
			c.t.Errorf("Run: %v", err)
		}
		if err := r.store.Close(); err != nil && !r.dead.Load() {
			c.t.Errorf("closing a store: %v", err)
		}
	}
}

// deliver gives a message of a device to one living bridge after the other, as a
// broker does with a shared subscription.
func (c *cluster) deliver(topic string, payload []byte) {
	c.mu.Lock()
	living := slices.DeleteFunc(slices.Clone(c.replicas), func(r *replica) bool { return r.dead.Load() })
	c.turn++
	turn := c.turn
	c.mu.Unlock()
	if len(living) > 0 {
		living[turn%len(living)].bridge.Handle(topic, payload)
	}
}

// until waits until something is true. The limit is for tests that hang.
func (c *cluster) until(what string, ok func() bool) {
	c.t.Helper()
	for end := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("%s: not in time\n%s", what, c.logs.String())
		}
	}
}

// once checks that nobody was rung twice, and that no two polls overlapped.
func (c *cluster) once() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for who, n := range c.rang {
		if n > 1 {
			c.t.Errorf("the phone of %s rang %d times", who, n)
		}
	}
	if s := c.op.Stats(); s.Overlapping != 0 {
		c.t.Errorf("the provider saw %+v", s)
	}
}

// A counting provider counts the polls of one bridge, and those that all have at
// once.
type counting struct {
	mortal
	polls  *atomic.Int64
	atOnce *tally
}

func (p counting) RequestToken(ctx context.Context, r ciba.TokenRequest) (*ciba.Tokens, error) {
	p.polls.Add(1)
	p.atOnce.add(1)
	defer p.atOnce.add(-1)
	return p.mortal.RequestToken(ctx, r)
}

// A tally is a number and the largest that it has been.
type tally struct {
	mu        sync.Mutex
	now, most int
}

func (n *tally) add(d int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now += d
	n.most = max(n.most, n.now)
}

// reset forgets what was.
func (n *tally) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.most = n.now
}

func (n *tally) largest() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.most
}

// A clusterBus brings what a living bridge publishes to the devices.
type clusterBus struct {
	c *cluster
	r *replica
}

func (b clusterBus) Publish(_ context.Context, topic string, payload []byte) error {
	if b.r.dead.Load() {
		return errDead
	}
	t, err := schemas.ParseTopic(topic)
	if err != nil {
		return err
	}
	b.c.mu.Lock()
	d := b.c.cars[t.Device]
	b.c.mu.Unlock()
	return d.receive(t, payload)
}
