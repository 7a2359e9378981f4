package bridge_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// childEnv, in the environment, makes the test binary a bridge.
const childEnv = "CARILLON_BRIDGE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	var l life
	told := json.NewDecoder(os.Stdin)
	err := told.Decode(&l)
	if err == nil {
		err = l.live(told, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A life is what a child is told first: what bridge it is, and where it dies.
type life struct {
	Database  database
	StoreKey  []byte
	SealKey   []byte
	Root      []byte   // of all certificates, DER
	Chain     [][]byte // DER
	Key       []byte   // PKCS #8
	Issuer    string
	Delivery  string
	Policy    policy.Policy
	Failpoint string // step; "" for none
	Nth       int64  // occurrence of it, from 1
}

// A letter is a message of a device or of the bridge. Letters are all that
// parents and children say to each other after that. One without a topic says that
// the child takes in letters, and the URL at which it takes notifications.
type letter struct {
	Topic   string
	Payload []byte
}

// live is all that a child does. It ends when its parent does.
func (l life) live(told *json.Decoder, out io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := l.store(ctx)
	if err != nil {
		return err
	}
	say := &mouth{to: json.NewEncoder(out)}
	b, desk, err := l.bridge(s, say)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	go func() {
		defer cancel() // the parent has no more to say, or is dead itself
		hear(told, b)
	}()
	for b.Ready() != nil {
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Millisecond):
		}
	}
	if err := say.say(letter{Payload: []byte(desk)}); err != nil {
		return err
	}
	return errors.Join(<-ended, s.Close())
}

// hear takes in letters as long as there are any.
func hear(told *json.Decoder, b *bridge.Bridge) {
	for {
		var in letter
		if err := told.Decode(&in); err != nil {
			return
		}
		b.Handle(in.Topic, in.Payload)
	}
}

func (l life) store(ctx context.Context) (*store.Store, error) {
	keys, err := store.NewKeyring(l.StoreKey)
	if err != nil {
		return nil, err
	}
	// What is written outlives the process, whether or not the disk has it.
	var db store.Database = store.SQLite{Path: l.Database.Source, UnsafeNoSync: true}
	if l.Database.Driver == "pgx" {
		cfg, err := pgxpool.ParseConfig(l.Database.Source)
		if err != nil {
			return nil, err
		}
		db = store.Postgres{Config: cfg, UnsafeNoSync: true}
	}
	return store.Open(ctx, store.Config{Database: db, Keys: keys})
}

// bridge returns a bridge, and the URL at which the provider notifies it.
func (l life) bridge(s *store.Store, to bridge.Publisher) (b *bridge.Bridge, desk string, err error) {
	client, err := ciba.New(ciba.Config{
		Issuer:            l.Issuer,
		ClientID:          cibatest.ClientID,
		Auth:              ciba.ClientSecretBasic(cibatest.ClientSecret),
		Delivery:          ciba.DeliveryMode(l.Delivery),
		InsecureAllowHTTP: true,
	})
	if err != nil {
		return nil, "", err
	}
	cfg := bridge.Config{
		Provider:  client,
		Renewer:   client,
		Issuer:    l.Issuer,
		Delivery:  ciba.DeliveryMode(l.Delivery),
		Store:     s,
		Publisher: to,
		Policy:    l.Policy,
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}.WithFailpoint(l.die())
	if err := l.trust(&cfg); err != nil {
		return nil, "", err
	}
	if b, err = bridge.New(cfg); err == nil {
		desk, err = l.desk(b, client)
	}
	return b, desk, err
}

// trust configures whom the bridge believes, and as whom it is believed.
func (l life) trust(cfg *bridge.Config) error {
	root, err := x509.ParseCertificate(l.Root)
	if err != nil {
		return err
	}
	cfg.Devices = mtls.Pool(root)
	var chain []*x509.Certificate
	for _, der := range l.Chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		chain = append(chain, c)
	}
	key, err := x509.ParsePKCS8PrivateKey(l.Key)
	if err != nil {
		return err
	}
	signer, err := schemas.NewSigner(key.(crypto.Signer), chain)
	if err != nil {
		return err
	}
	cfg.Signer = bridge.FixedSigner(signer)
	seal, err := schemas.ParseSealKey(l.SealKey)
	cfg.SealKeys = []*schemas.SealKey{seal}
	return err
}

// desk takes notifications, if there are any.
func (l life) desk(b *bridge.Bridge, client *ciba.Client) (url string, err error) {
	if l.Delivery == "" {
		return "", nil
	}
	cfg := b.Notifications()
	cfg.Client = client
	h, err := ciba.NewNotificationHandler(cfg)
	if err != nil {
		return "", err
	}
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { _ = http.Serve(at, h) }()
	return "http://" + at.Addr().String(), nil
}

// die returns the fail point. Nothing in the process ends in any order there.
func (l life) die() func(step string) {
	var occurred atomic.Int64
	return func(step string) {
		if step == l.Failpoint && occurred.Add(1) == l.Nth {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal comes when it comes
		}
	}
}

// A mouth says one thing after the other.
type mouth struct {
	mu sync.Mutex
	to *json.Encoder
}

func (m *mouth) say(what any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.to.Encode(what)
}

// Publish is for bridges.
func (m *mouth) Publish(_ context.Context, topic string, payload []byte) error {
	return m.say(letter{topic, payload})
}
