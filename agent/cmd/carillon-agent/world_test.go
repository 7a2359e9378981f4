package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/agent/api"
	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// A world is all that the daemon meets: a real broker, a bridge behind it, a
// settings API; and a directory with an enrolled device.
type world struct {
	t        *testing.T
	bridge   *agenttest.Bridge
	dir      string
	broker   string
	settings string
	socket   string
	log      *buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, bridge: agenttest.NewBridge(t), log: &buffer{}}
	w.dir = enrolled(t, w.bridge.CA)
	w.socket = filepath.Join(w.dir, "agent.sock")
	w.startBroker()
	w.startSettings()
	return w
}

// enrolled returns the directory of a device that has its certificate.
func enrolled(t *testing.T, ca *mtlstest.Authority) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files := &mtls.Files{CertFile: filepath.Join(dir, "device.crt"), KeyFile: filepath.Join(dir, "device.key")}
	store(t, files, ca.Device(agenttest.DeviceID))
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Root.Raw})
	if err := os.WriteFile(filepath.Join(dir, "roots.crt"), root, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (w *world) startBroker() {
	ca := w.bridge.CA
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.broker = l.Addr().String()
	b, err := broker.New(broker.Config{
		Listener: l, TLS: mtls.ServerConfig(ca.Roots(), mtls.Fixed(ca.Broker("127.0.0.1")), nil), Logger: agenttest.Quiet(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.background(b.Run)
	cert := ca.Bridge("eu-1")
	id, err := mtls.IdentityOf(cert.Leaf)
	if err != nil {
		w.t.Fatal(err)
	}
	up := make(chan struct{}, 1)
	lk, err := link.New(link.Config{
		Dial:     link.TLSDialer(w.broker, mtls.ClientConfig(ca.Roots(), mtls.Fixed(cert), "127.0.0.1")),
		ClientID: id.ClientID(), Subscribe: []string{schemas.UpFilter}, Logger: agenttest.Quiet(),
		Handler: func(topic string, p []byte) { _ = w.bridge.Publish(context.Background(), topic, p) },
		OnUp:    func() { up <- struct{}{} }, MinBackoff: time.Millisecond,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.background(lk.Run)
	w.bridge.Set(func(b *agenttest.Bridge) { b.Device = downlink{lk} })
	<-up
}

// downlink publishes what the bridge says.
type downlink struct{ *link.Link }

func (d downlink) Handle(topic string, payload []byte) {
	go func() { _ = d.Publish(context.Background(), topic, payload) }()
}

func (w *world) startSettings() {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !ok || len(token) != agenttest.TokenBytes {
			out.WriteHeader(http.StatusUnauthorized)
			return
		}
		out.Header().Set("Content-Type", "application/json")
		io.WriteString(out, `{"vss":"6.0","person":{"name":"Anna"},"settings":{"Vehicle.Cabin.Seat.Row1.DriverSide.Position":320,"Vehicle.Cabin.Infotainment.Media.Volume":9}}`)
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{*w.bridge.CA.Server("127.0.0.1")}}
	srv.StartTLS()
	w.t.Cleanup(srv.Close)
	w.settings = srv.URL + "/v1/settings"
}

// background runs something until the test ends.
func (w *world) background(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
}

// daemon starts carillon-agent run, waits for the bridge to be introduced, and
// returns what stops it.
func (w *world) daemon(more ...string) (stop func() int) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	args := append([]string{"run", "--dir", w.dir, "--broker", w.broker, "--socket", w.socket,
		"--settings-url", w.settings, "--vehicle", "memory", "--log-level", "debug"}, more...)
	code := make(chan int, 1)
	go func() { code <- run(ctx, args, streams{strings.NewReader(""), w.log, w.log}) }()
	stop = sync.OnceValue(func() int { cancel(); return <-code })
	w.t.Cleanup(func() { stop() })
	client := api.NewClient(w.socket)
	w.eventually("the daemon to be ready", func() bool {
		s, err := client.Status(w.t.Context())
		return err == nil && s.Introduced
	})
	return stop
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatalf("never: %s; log:\n%s", what, w.log)
}

// call runs a command to its end.
func (w *world) call(args ...string) (code int, out string) {
	return w.callUntil(w.t.Context(), &buffer{}, args...)
}

func (w *world) callUntil(ctx context.Context, b *buffer, args ...string) (int, string) {
	code := run(ctx, append(args, "--socket", w.socket), streams{strings.NewReader(""), b, b})
	return code, b.String()
}

// ringing waits for a sign-in to ring, and returns its id.
func (w *world) ringing() (id schemas.ID) {
	w.t.Helper()
	client := api.NewClient(w.socket)
	w.eventually("a phone to ring", func() bool {
		s, err := client.Status(w.t.Context())
		if err != nil {
			return false
		}
		for _, x := range s.SignIns {
			if x.State == "ringing" {
				id, err = schemas.ParseID(x.ID)
				return err == nil
			}
		}
		return false
	})
	return id
}

func store(t *testing.T, files *mtls.Files, cert *tls.Certificate) {
	t.Helper()
	signer := agenttest.SignerOf(t, cert)
	if err := files.Store(cert.PrivateKey.(crypto.Signer), signer.Chain()); err != nil {
		t.Fatal(err)
	}
}

// buffer is a bytes.Buffer for several writers.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
