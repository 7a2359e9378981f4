package bridge_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// A world is a bridge between an OpenID provider and devices, all in memory but
// the bridge's database.
type world struct {
	t    testing.TB
	real bool // time is, outside of a bubble: limits are for tests that hang
	ca   *mtlstest.Authority
	op   *cibatest.Provider
	auth ciba.Authenticator // of the bridge, at op
	seal *schemas.SealKey
	logs logs
	db   string // file

	// The configuration of the next start.
	policy  policy.Policy
	limits  bridge.Limits
	context bool
	step    func(string)
	edit    func(*bridge.Config)

	metrics *metrics.Set // of the last start

	signer atomic.Pointer[schemas.Signer]
	http   *http.Client                // that reaches the provider
	client atomic.Pointer[ciba.Client] // of the provider
	keys   *store.Keyring

	hand   func(topic string, payload []byte)       // brings what a device says to the bridge
	bridge atomic.Pointer[bridge.Bridge]            // nil while there is none
	desk   atomic.Pointer[ciba.NotificationHandler] // that the provider notifies; nil if it does not
	store  *store.Store
	dead   *atomic.Bool // of the running bridge: nothing it does has an effect
	cancel context.CancelFunc
	ended  chan error    // of Run
	over   chan struct{} // closed at the end of the test

	mu      sync.Mutex
	devices map[schemas.DeviceID]*device
	lose    func(schemas.Message) bool // messages to devices that do not arrive
}

// inWorld runs a test in a bubble of its own.
func inWorld(t *testing.T, op *cibatest.Provider, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, op)
		defer w.end()
		test(w)
	})
}

// end stops everything.
func (w *world) end() {
	w.stop()
	close(w.over)
}

func newWorld(t testing.TB, op *cibatest.Provider) *world {
	t.Helper()
	w := &world{t: t, ca: mtlstest.New(t), policy: policy.Default(), devices: make(map[schemas.DeviceID]*device), over: make(chan struct{})}
	w.db = filepath.Join(t.TempDir(), "bridge.db")
	w.hand = func(topic string, payload []byte) {
		if b := w.bridge.Load(); b != nil {
			b.Handle(topic, payload)
		}
	}
	var err error
	if w.seal, err = schemas.GenerateSealKey(); err != nil {
		t.Fatal(err)
	}
	if w.keys, err = store.NewKeyring(bytes.Repeat([]byte{7}, store.KeySize)); err != nil {
		t.Fatal(err)
	}
	w.meet(op, op.Client())
	w.renewBridge()
	return w
}

// meet makes op the provider of the next start, reached through hc.
func (w *world) meet(op *cibatest.Provider, hc *http.Client) {
	w.t.Helper()
	w.op, w.http, w.auth = op, hc, authOf(w.t, op)
	op.Endpoint = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.bridge.Load() == nil {
			rw.WriteHeader(http.StatusBadGateway) // of the proxy that finds no bridge
			return
		}
		w.desk.Load().ServeHTTP(rw, r)
	})
}

// connect makes bridges clients of the provider: the next one, and the one that
// runs.
func (w *world) connect() {
	w.t.Helper()
	client, err := ciba.New(ciba.Config{
		Issuer:     w.op.IssuerURL(),
		ClientID:   cibatest.ClientID,
		Auth:       w.auth,
		Delivery:   ciba.DeliveryMode(w.op.Delivery),
		HTTPClient: w.http,
		Profile:    w.op.Like,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.client.Store(client)
	if b := w.bridge.Load(); b != nil {
		w.open(b)
	}
}

// open opens the desk of a bridge if the provider notifies.
func (w *world) open(b *bridge.Bridge) {
	w.t.Helper()
	if w.op.Delivery == "ping" || w.op.Delivery == "push" {
		w.desk.Store(w.endpoint(b))
	}
}

// renewBridge gives the bridge a new certificate.
func (w *world) renewBridge() {
	w.signer.Store(signerOf(w.t, w.ca.Bridge("b1")))
}

// start runs a bridge on the world's database.
func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.dead = new(atomic.Bool)
	var err error
	w.connect()
	w.metrics = metrics.New()
	w.store, err = store.Open(ctx, store.Config{Database: store.SQLite{Path: w.db, UnsafeNoSync: true}, Keys: w.keys, Meter: w.metrics})
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := bridge.New(w.config())
	if err != nil {
		w.t.Fatal(err)
	}
	w.open(b)
	w.bridge.Store(b)
	w.ended = make(chan error, 1)
	go func() { w.ended <- b.Run(ctx) }()
	synctest.Wait()
}

// endpoint is where the provider notifies a bridge.
func (w *world) endpoint(b *bridge.Bridge) *ciba.NotificationHandler {
	w.t.Helper()
	cfg := b.Notifications()
	cfg.Client = w.client.Load()
	h, err := ciba.NewNotificationHandler(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// config is that of a bridge on the open store.
func (w *world) config() bridge.Config {
	cfg := bridge.Config{
		Signer:         func() (*schemas.Signer, error) { return w.signer.Load(), nil },
		SealKeys:       []*schemas.SealKey{w.seal},
		Devices:        w.ca.Roots(),
		Provider:       mortal{&w.client, w.dead},
		Renewer:        mortal{&w.client, w.dead},
		Issuer:         w.op.IssuerURL(),
		Delivery:       ciba.DeliveryMode(w.op.Delivery),
		Store:          w.store,
		Publisher:      bus{w, w.dead},
		Policy:         w.policy,
		RequestContext: w.context,
		Limits:         w.limits,
		Metrics:        w.metrics,
		Logger:         slog.New(slog.NewTextHandler(&w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}.WithFailpoint(w.step)
	if w.edit != nil {
		w.edit(&cfg)
	}
	return cfg
}

// stop ends the bridge in good order.
func (w *world) stop() {
	w.t.Helper()
	if w.bridge.Load() == nil {
		return
	}
	w.cancel()
	if err := <-w.ended; err != nil && !w.dead.Load() {
		w.t.Errorf("Run: %v", err)
	}
	if err := w.store.Close(); err != nil {
		w.t.Errorf("closing the store: %v", err)
	}
	w.bridge.Store(nil)
}

// kill ends the bridge at this very instant, as far as anybody else can see:
// nothing is stored, sent or published any more. It may be called by the bridge
// itself.
func (w *world) kill() {
	if !w.dead.Swap(true) {
		_ = w.store.Close()
	}
}

// A mortal provider hears nothing from a dead bridge.
type mortal struct {
	client *atomic.Pointer[ciba.Client]
	dead   *atomic.Bool
}

var errDead = errors.New("the bridge is dead")

func (m mortal) RequestAuthentication(ctx context.Context, r ciba.AuthenticationRequest) (ciba.Acknowledgement, error) {
	if m.dead.Load() {
		<-ctx.Done()
		return ciba.Acknowledgement{}, errDead
	}
	return m.client.Load().RequestAuthentication(ctx, r)
}

func (m mortal) Profile() profile.Profile { return m.client.Load().Profile() }

func (m mortal) RequestToken(ctx context.Context, r ciba.TokenRequest) (*ciba.Tokens, error) {
	if m.dead.Load() {
		<-ctx.Done()
		return nil, errDead
	}
	return m.client.Load().RequestToken(ctx, r)
}

func (m mortal) Refresh(ctx context.Context, r ciba.RefreshRequest) (*ciba.Tokens, error) {
	if m.dead.Load() {
		<-ctx.Done()
		return nil, errDead
	}
	return m.client.Load().Refresh(ctx, r)
}

func (m mortal) Revoke(ctx context.Context, token string, hint ciba.TokenTypeHint) error {
	if m.dead.Load() {
		<-ctx.Done()
		return errDead
	}
	return m.client.Load().Revoke(ctx, token, hint)
}

// A bus brings what a living bridge publishes to the devices.
type bus struct {
	w    *world
	dead *atomic.Bool
}

func (b bus) Publish(_ context.Context, topic string, payload []byte) error {
	if b.dead.Load() {
		return errDead
	}
	return b.w.deliver(topic, payload)
}

// deliver brings what a bridge has published to the device.
func (w *world) deliver(topic string, payload []byte) error {
	t, err := schemas.ParseTopic(topic)
	if err != nil {
		return err
	}
	w.mu.Lock()
	d := w.devices[t.Device]
	w.mu.Unlock()
	if d != nil {
		d.receive(t, payload)
	}
	return nil
}

// logs collects what is logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// patience is how long a test in real time waits for what the machine may be slow
// with.
const patience = 4 * time.Minute

// until waits for something to become true.
func (w *world) until(what string, limit time.Duration, ok func() bool) {
	w.t.Helper()
	if w.real {
		limit = patience
	}
	for end := time.Now().Add(limit); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("%s: not within %v\n%s", what, limit, w.logs.String())
		}
		if !w.real {
			synctest.Wait()
		}
	}
}

// count returns the rows of a table.
func (w *world) count(table string) (n int) {
	w.t.Helper()
	w.sql(func(db *sql.DB) error { return db.QueryRow("SELECT count(*) FROM " + table).Scan(&n) })
	return n
}

// sql looks into the database, beside the bridge.
func (w *world) sql(look func(*sql.DB) error) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.db)
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	if err := look(db); err != nil {
		w.t.Fatal(err)
	}
}
