package cmd_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/cmd"
	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// child, in the environment, makes the test binary a carillon-bridge.
const child = "CARILLON_BRIDGE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		os.Exit(cmd.Process())
	}
	os.Exit(m.Run())
}

// A world is what a bridge needs, on this machine: certificates, a broker, a
// provider.
type world struct {
	t      *testing.T
	dir    string
	ca     *mtlstest.Authority
	op     *cibatest.Provider
	broker string // address
}

func newWorld(t *testing.T, op *cibatest.Provider) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), ca: mtlstest.New(t), op: op}
	w.writePEM("roots.pem", w.ca.Root)
	w.store("bridge", w.ca.Bridge("b1"))
	w.write("secret", cibatest.ClientSecret+"\n")

	server := httptest.NewUnstartedServer(op)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{*w.ca.Server("127.0.0.1")}, ClientAuth: tls.RequestClientCert}
	op.Issuer = "https://" + server.Listener.Addr().String()
	server.StartTLS()
	t.Cleanup(server.Close)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.broker = listener.Addr().String()
	b, err := broker.New(broker.Config{Listener: listener, TLS: mtls.ServerConfig(w.ca.Roots(), mtls.Fixed(w.ca.Broker("127.0.0.1")), nil)})
	if err != nil {
		t.Fatal(err)
	}
	w.background(func(ctx context.Context) { _ = b.Run(ctx) })
	return w
}

// background runs f until the end of the test.
func (w *world) background(f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, content string) string {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}

func (w *world) writePEM(name string, certs ...*x509.Certificate) {
	w.t.Helper()
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	w.write(name, string(out))
}

func chainOf(t *testing.T, cert *tls.Certificate) (chain []*x509.Certificate) {
	t.Helper()
	for _, der := range cert.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, c)
	}
	return chain
}

// store writes a certificate and its key.
func (w *world) store(name string, cert *tls.Certificate) {
	w.t.Helper()
	files := &mtls.Files{CertFile: w.path(name + ".crt"), KeyFile: w.path(name + ".key")}
	if err := files.Store(cert.PrivateKey.(crypto.Signer), chainOf(w.t, cert)); err != nil {
		w.t.Fatal(err)
	}
}

// flags are settings that work.
func (w *world) flags() map[string]string {
	return map[string]string{
		"broker": w.broker, "cert": w.path("bridge.crt"), "key": w.path("bridge.key"), "roots": w.path("roots.pem"),
		"issuer": w.op.Issuer, "client-id": cibatest.ClientID, "client-secret-file": w.path("secret"),
		"provider-roots": w.path("roots.pem"), "db": w.path("bridge.db"),
	}
}

func args(command string, flags map[string]string) []string {
	out := []string{command}
	for name, value := range flags {
		out = append(out, "--"+name+"="+value)
	}
	return out
}

// main runs the command to its end.
func (w *world) main(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = cmd.Main(context.Background(), args, nil, &out, &errs)
	return code, out.String(), errs.String()
}

// A log is a writer that can be read at the same time.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// spawn runs a bridge as a process of its own, with more flags.
func (w *world) spawn(more ...string) *exec.Cmd {
	w.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	c := exec.Command(exe, append(args("serve", w.flags()), more...)...)
	c.Env = append(os.Environ(), child+"=1")
	out := new(log)
	c.Stderr = out
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if w.t.Failed() {
			w.t.Logf("the bridge said:\n%s", out.String())
		}
	})
	return c
}

// A car is a device at the broker.
type car struct {
	w      *world
	id     schemas.DeviceID
	signer *schemas.Signer
	link   *link.Link
	heard  chan schemas.Message

	mu     sync.Mutex
	leaves map[schemas.KeyID]*x509.Certificate // of bridges
}

func (w *world) car(id string) *car {
	w.t.Helper()
	cert := w.ca.Device(id)
	signer, err := schemas.NewSigner(cert.PrivateKey.(crypto.Signer), chainOf(w.t, cert))
	if err != nil {
		w.t.Fatal(err)
	}
	c := &car{w: w, id: schemas.DeviceID(id), signer: signer, heard: make(chan schemas.Message, 100), leaves: make(map[schemas.KeyID]*x509.Certificate)}
	up := make(chan struct{}, 10)
	c.link, err = link.New(link.Config{
		Dial:      link.TLSDialer(w.broker, mtls.ClientConfig(w.ca.Roots(), mtls.Fixed(cert), "127.0.0.1")),
		ClientID:  id,
		Subscribe: []string{schemas.DownTopic(c.id).String()},
		Handler:   c.receive,
		OnUp:      func() { up <- struct{}{} },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.background(func(ctx context.Context) { _ = c.link.Run(ctx) })
	<-up
	return c
}

func (c *car) receive(topic string, payload []byte) {
	t, err := schemas.ParseTopic(topic)
	if err != nil {
		c.w.t.Error(err)
		return
	}
	env, err := schemas.Parse(t, payload)
	if err != nil {
		c.w.t.Error(err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if env.Chain != nil {
		c.leaves[env.KeyID] = env.Chain[0]
	}
	leaf := c.leaves[env.KeyID]
	if leaf == nil {
		return
	}
	m, err := env.Verify(leaf)
	if err != nil {
		c.w.t.Error(err)
		return
	}
	if welcome, ok := m.(*schemas.Welcome); ok {
		for _, der := range welcome.Peers {
			peer, err := x509.ParseCertificate(der)
			if err != nil {
				c.w.t.Error(err)
				return
			}
			c.leaves[schemas.KeyIDOf(peer)] = peer
		}
	}
	c.heard <- m
}

// say sends a message once.
func (c *car) say(m schemas.Message) {
	c.w.t.Helper()
	signed, err := c.signer.Sign(schemas.UpTopic(c.id), m)
	if err != nil {
		c.w.t.Fatal(err)
	}
	_ = c.link.Publish(context.Background(), schemas.UpTopic(c.id).String(), signed)
}

// insist sends a message every so often until an answer fits.
func (c *car) insist(m schemas.Message, fits func(schemas.Message) bool) schemas.Message {
	c.w.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		c.say(m)
		again := time.After(300 * time.Millisecond)
		for waiting := true; waiting; {
			select {
			case got := <-c.heard:
				if got.RequestID() == m.RequestID() && fits(got) {
					return got
				}
			case <-again:
				waiting = false
			case <-deadline:
				c.w.t.Fatalf("no fitting answer to %v", m.Kind())
			}
		}
	}
}

// hello returns the key to which hints are sealed.
func (c *car) hello() schemas.PublicKey {
	c.w.t.Helper()
	return *c.welcome().Sealing
}

// welcome says hello.
func (c *car) welcome() *schemas.Welcome {
	c.w.t.Helper()
	m := c.insist(&schemas.Hello{ID: schemas.NewID(), IssuedAt: schemas.Seconds(time.Now()), Versions: schemas.Speaks()},
		func(m schemas.Message) bool { _, ok := m.(*schemas.Welcome); return ok })
	return m.(*schemas.Welcome)
}

func (c *car) signIn(sealing schemas.PublicKey, hint string) *schemas.SignIn {
	c.w.t.Helper()
	key, err := schemas.GenerateSealKey()
	if err != nil {
		c.w.t.Fatal(err)
	}
	m := &schemas.SignIn{ID: schemas.NewID(), IssuedAt: schemas.Seconds(time.Now()), Scope: "seat", Device: schemas.Car, ResponseKey: key.Public()}
	if m.Sealed, err = schemas.SealPrivate(sealing, c.id, m.ID, schemas.Private{LoginHint: hint}); err != nil {
		c.w.t.Fatal(err)
	}
	return m
}

func granted(m schemas.Message) bool { _, ok := m.(*schemas.Granted); return ok }
func pending(m schemas.Message) bool { _, ok := m.(*schemas.Pending); return ok }

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// contains reports whether text has all of the words.
func contains(text string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
