package bridge_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/bridge/trace"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// What a sign-in costs the bridge itself: everything but the calls of the
// provider and the broker. BenchmarkParts has what of it cannot be avoided.
func BenchmarkSignIn(b *testing.B) {
	for _, c := range []struct {
		name            string
		noSync          bool
		metered, traced bool
	}{
		{"fsync", false, false, false},
		{"nosync", true, false, false},
		{"nosync/metrics", true, true, false},
		{"nosync/traces", true, false, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			var set *metrics.Set
			if c.metered {
				set = metrics.New()
			}
			var traces oteltrace.TracerProvider
			if c.traced {
				traces = sdk.NewTracerProvider(sdk.WithBatcher(tracetest.NewNoopExporter()), sdk.WithIDGenerator(trace.IDs{}))
			}
			benchmarkSignIn(b, newRig(b, c.noSync, set, traces))
		})
	}
}

func benchmarkSignIn(b *testing.B, r *rig) {
	const fleet = 1024
	cars := make([]*benchCar, fleet)
	for i := range cars {
		cars[i] = r.car(b, i)
	}
	work := make(chan int)
	var wg sync.WaitGroup
	before := cpu()
	b.ResetTimer()
	for _, c := range cars {
		wg.Go(func() {
			for range work {
				c.signIn(b)
			}
		})
	}
	for i := range b.N {
		work <- i
	}
	close(work)
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// cpu is the time that this process has computed so far.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A rig is a bridge whose provider and broker cost nothing.
type rig struct {
	ca     *mtlstest.Authority
	bridge *bridge.Bridge
	seal   *schemas.SealKey

	mu   sync.Mutex
	cars map[string]*benchCar
}

func newRig(b *testing.B, noSync bool, set *metrics.Set, traces oteltrace.TracerProvider) *rig {
	b.Helper()
	r := &rig{ca: mtlstest.New(b), cars: make(map[string]*benchCar)}
	keys, err := store.NewKeyring(bytes.Repeat([]byte{1}, store.KeySize))
	if err != nil {
		b.Fatal(err)
	}
	st, err := store.Open(context.Background(), store.Config{Database: store.SQLite{Path: filepath.Join(b.TempDir(), "bridge.db"), UnsafeNoSync: noSync}, Keys: keys, Meter: set})
	if err != nil {
		b.Fatal(err)
	}
	if r.seal, err = schemas.GenerateSealKey(); err != nil {
		b.Fatal(err)
	}
	pol := policy.Default()
	pol.PerDevice, pol.PerPerson = policy.Rate{Burst: 1e6, Every: time.Millisecond}, policy.Rate{Burst: 1e6, Every: time.Millisecond}
	r.bridge, err = bridge.New(bridge.Config{
		Signer:    bridge.FixedSigner(signerOf(b, r.ca.Bridge("b1"))),
		SealKeys:  []*schemas.SealKey{r.seal},
		Devices:   r.ca.Roots(),
		Provider:  instant{},
		Issuer:    "https://op.test",
		Store:     st,
		Publisher: r,
		Policy:    pol,
		Limits:    bridge.Limits{Calls: 1024, Polls: 1024},
		Metrics:   set,
		Traces:    traces,
		Logger:    slog.New(slog.NewJSONHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.bridge.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-ended
		st.Close()
	})
	return r
}

// instant is a provider whose people have always agreed already.
type instant struct{}

func (instant) RequestAuthentication(_ context.Context, r ciba.AuthenticationRequest) (ciba.Acknowledgement, error) {
	return ciba.Acknowledgement{AuthReqID: r.LoginHint, ExpiresIn: time.Minute, Interval: time.Millisecond}, nil
}

func (instant) Profile() profile.Profile { return profile.Profile{} }

var benchToken = string(bytes.Repeat([]byte("t"), 900))

func (instant) RequestToken(_ context.Context, r ciba.TokenRequest) (*ciba.Tokens, error) {
	return &ciba.Tokens{
		AccessToken: benchToken, TokenType: "Bearer", ExpiresIn: time.Hour,
		IDToken: &ciba.IDToken{Subject: r.AuthReqID, Claims: []byte(`{"name":"Anna"}`)},
	}, nil
}

// Publish brings a message to its car.
func (r *rig) Publish(_ context.Context, topic string, payload []byte) error {
	r.mu.Lock()
	c := r.cars[topic]
	r.mu.Unlock()
	t, err := schemas.ParseTopic(topic)
	if err != nil {
		return err
	}
	env, err := schemas.Parse(t, payload)
	if err != nil {
		return err
	}
	select {
	case c.heard <- env.Unverified():
	default: // it does not listen any more; what it has missed comes again
	}
	return nil
}

// A benchCar is a device that verifies nothing.
type benchCar struct {
	r      *rig
	id     schemas.DeviceID
	signer *schemas.Signer
	key    *schemas.SealKey
	heard  chan schemas.Message
}

func (r *rig) car(b *testing.B, i int) *benchCar {
	b.Helper()
	id := fmt.Sprintf("car-%d", i)
	c := &benchCar{r: r, id: schemas.DeviceID(id), signer: signerOf(b, r.ca.Device(id)), heard: make(chan schemas.Message, 16)}
	var err error
	if c.key, err = schemas.GenerateSealKey(); err != nil {
		b.Fatal(err)
	}
	r.mu.Lock()
	r.cars[schemas.DownTopic(c.id).String()] = c
	r.mu.Unlock()
	c.insist(b, &schemas.Hello{ID: schemas.NewID(), IssuedAt: 1, Versions: schemas.Speaks()},
		func(m schemas.Message) bool { _, ok := m.(*schemas.Welcome); return ok })
	return c
}

func (c *benchCar) send(b *testing.B, m schemas.Message) {
	signed, err := c.signer.Sign(schemas.UpTopic(c.id), m)
	if err != nil {
		b.Error(err)
	}
	c.r.bridge.Handle(schemas.UpTopic(c.id).String(), signed)
}

// insist sends a message until the answer fits.
func (c *benchCar) insist(b *testing.B, m schemas.Message, fits func(schemas.Message) bool) {
	for {
		c.send(b, m)
		late := time.After(time.Second)
		for waiting := true; waiting; {
			select {
			case got := <-c.heard:
				if got.RequestID() == m.RequestID() && fits(got) {
					return
				}
			case <-late:
				waiting = false
			}
		}
	}
}

func (c *benchCar) signIn(b *testing.B) {
	m := &schemas.SignIn{ID: schemas.NewID(), IssuedAt: schemas.Seconds(time.Now()), Scope: "seat climate", Device: schemas.Car, ResponseKey: c.key.Public()}
	var err error
	if m.Sealed, err = schemas.SealPrivate(c.r.seal.Public(), c.id, m.ID, schemas.Private{LoginHint: string(c.id) + "@example.com"}); err != nil {
		b.Error(err)
	}
	c.insist(b, m, func(m schemas.Message) bool { _, ok := m.(*schemas.Granted); return ok })
	c.send(b, &schemas.Receipt{ID: m.ID})
}

// The parts of a sign-in that nobody can leave out: two messages to verify (the
// request and the receipt), a hint to open, a grant to seal, two answers to
// sign, and five steps to record.
func BenchmarkParts(b *testing.B) {
	ca := mtlstest.New(b)
	cert := ca.Device("car-1")
	signer, seal := signerOf(b, cert), must(schemas.GenerateSealKey())
	topic := schemas.UpTopic("car-1")
	m := &schemas.SignIn{ID: schemas.NewID(), IssuedAt: 1, Scope: "seat climate", Device: schemas.Car, ResponseKey: seal.Public()}
	m.Sealed = must(schemas.SealPrivate(seal.Public(), "car-1", m.ID, schemas.Private{LoginHint: "anna@example.com"}))
	signed := must(signer.Sign(topic, m))
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			_ = must(must(schemas.Parse(topic, signed)).Verify(cert.Leaf))
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			_ = must(schemas.OpenPrivate(seal, "car-1", m.ID, m.Sealed))
		}
	})
	grant := schemas.Grant{AccessToken: []byte(benchToken), ExpiresIn: 3600, Person: schemas.NewHandle(), Name: "Anna"}
	b.Run("seal", func(b *testing.B) {
		for b.Loop() {
			_ = must(schemas.SealGrant(seal.Public(), "car-1", m.ID, grant))
		}
	})
	sealed := must(schemas.SealGrant(seal.Public(), "car-1", m.ID, grant))
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			_ = must(signer.Sign(schemas.DownTopic("car-1"), &schemas.Granted{ID: m.ID, Sealed: sealed}))
		}
	})
	for _, noSync := range []bool{false, true} {
		name := "store/fsync"
		if noSync {
			name = "store/nosync"
		}
		b.Run(name, func(b *testing.B) { benchmarkStore(b, noSync) })
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// benchmarkStore records sign-ins, many at a time.
func benchmarkStore(b *testing.B, noSync bool) {
	keys := must(store.NewKeyring(bytes.Repeat([]byte{1}, store.KeySize)))
	st := must(store.Open(context.Background(), store.Config{Database: store.SQLite{Path: filepath.Join(b.TempDir(), "bridge.db"), UnsafeNoSync: noSync}, Keys: keys}))
	defer st.Close()
	go st.Run(context.Background())
	var wg sync.WaitGroup
	work := make(chan int)
	before := cpu()
	b.ResetTimer()
	for range 512 {
		wg.Go(func() {
			for i := range work {
				recordSignIn(b, st, i)
			}
		})
	}
	for i := range b.N {
		work <- i
	}
	close(work)
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

func recordSignIn(b *testing.B, st *store.Store, i int) {
	ctx, now := context.Background(), time.Now()
	device, person := fmt.Sprintf("car-%d", i), fmt.Sprintf("person-%d@example.com", i)
	k := store.Key{Device: schemas.DeviceID(device), ID: schemas.NewID()}
	rate := policy.Rate{Burst: 1e6, Every: time.Millisecond}
	start := store.Start{
		Key: k, Person: st.Subject("https://op.test", person), Now: now, Due: now.Add(time.Minute), Deadline: now.Add(time.Minute),
		Details: store.Details{Issuer: "https://op.test", Hint: store.Hint{Kind: store.LoginHint, Value: person}, Scope: []string{"seat", "climate"}},
		Quotas:  []store.Quota{{Name: "device " + device, Rate: rate}, {Name: "person " + person, Rate: rate}},
	}
	if begun, err := st.Begin(ctx, start); err != nil || begun.Verdict != store.Started {
		b.Errorf("%+v, %v", begun, err)
	}
	poll := ciba.Poll{Interval: time.Millisecond, Due: now, Deadline: now.Add(time.Minute)}
	if ok, err := st.Rang(ctx, k, start.Details, poll, now); !ok || err != nil {
		b.Error(ok, err)
	}
	if _, err := st.ClaimPolls(ctx, now, now.Add(time.Minute), 1); err != nil {
		b.Error(err)
	}
	e := store.Ending{Key: k, Message: make([]byte, 1200), Outcome: "granted", Now: now, Until: now.Add(time.Hour)}
	g := store.Grant{Person: start.Person, Handle: schemas.NewHandle(), Expires: now.Add(time.Hour),
		Pairing: store.Pairing{Device: k.Device, Issuer: "https://op.test", Subject: person, Hint: start.Details.Hint}}
	if ok, err := st.Grant(ctx, e, g); !ok || err != nil {
		b.Error(ok, err)
	}
	if _, ok, err := st.Receipt(ctx, k, now); !ok || err != nil {
		b.Error(ok, err)
	}
}
