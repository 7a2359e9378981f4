package bridge_test

import (
	"bytes"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// A parent is a world whose bridges are processes of their own, one after the
// other, and in which time is real. It keeps the provider and the devices.
type parent struct {
	*world
	life  life                  // of the next child
	child atomic.Pointer[child] // nil while there is none
}

// A child is one process.
type child struct {
	cmd  *exec.Cmd
	in   io.Closer
	ears mouth
	born chan struct{} // closed when it runs
	desk http.Handler  // valid when born is closed
	dead chan struct{} // closed when all that it has said was heard
}

// newParent returns a world without a bridge, to which the provider is near: it
// permits a poll each second.
func newParent(t *testing.T, op *cibatest.Provider, db database) *parent {
	t.Helper()
	op.Interval = time.Second
	server := httptest.NewUnstartedServer(op)
	op.Issuer = "http://" + server.Listener.Addr().String()
	p := &parent{world: newWorld(t, op)}
	p.real, p.hand = true, p.write
	op.Endpoint = http.HandlerFunc(p.notify)
	cert := p.ca.Bridge("b1")
	p.signer.Store(signerOf(t, cert))
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	p.life = life{
		Database: db, StoreKey: bytes.Repeat([]byte{7}, store.KeySize), SealKey: p.seal.Bytes(),
		Root: p.ca.Root.Raw, Chain: cert.Certificate, Key: key, Issuer: op.Issuer, Delivery: op.Delivery,
	}
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(p.end)
	return p
}

// start starts a bridge that dies at the nth time that it comes to a step; "" for
// never.
func (p *parent) start(step string, nth int64) {
	p.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env, cmd.Stderr = append(os.Environ(), childEnv+"=1"), &p.logs
	in, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	c := &child{cmd: cmd, in: in, ears: mouth{to: json.NewEncoder(in)}, born: make(chan struct{}), dead: make(chan struct{})}
	p.t.Cleanup(func() { _ = cmd.Process.Kill(); <-c.dead })
	go p.listen(c, json.NewDecoder(out))
	l := p.life
	l.Policy, l.Failpoint, l.Nth = p.policy, step, nth
	_ = c.ears.say(l) // a child that does not listen is not born
	p.until("the bridge runs, or has ended", 0, func() bool { return closed(c.born) || closed(c.dead) })
	if !closed(c.born) {
		p.t.Fatalf("the bridge does not run: %v\n%s", cmd.ProcessState, p.logs.String())
	}
	p.child.Store(c)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// listen brings what a child says to the devices, up to its last word.
func (p *parent) listen(c *child, said *json.Decoder) {
	defer close(c.dead)
	var err error
	for err == nil {
		var l letter
		err = said.Decode(&l)
		switch {
		case err != nil:
		case l.Topic == "":
			c.desk, err = deskAt(string(l.Payload))
			close(c.born)
		default:
			err = p.deliver(l.Topic, l.Payload)
		}
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) { // half a letter is none
		p.t.Errorf("what the bridge says is not understood: %v", err)
	}
	_ = c.cmd.Wait()
}

// deskAt passes notifications on to where a child takes them.
func deskAt(address string) (http.Handler, error) {
	at, err := url.Parse(address)
	return &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(at) },
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) },
	}, err
}

// write brings what a device has said to the child, if there is one.
func (p *parent) write(topic string, payload []byte) {
	if c := p.child.Load(); c != nil {
		_ = c.ears.say(letter{topic, payload}) // the dead do not hear
	}
}

// notify is the provider's way to the child.
func (p *parent) notify(rw http.ResponseWriter, r *http.Request) {
	c := p.child.Load()
	if c == nil {
		rw.WriteHeader(http.StatusBadGateway) // of the proxy that finds no bridge
		return
	}
	c.desk.ServeHTTP(rw, r)
}

// mourn waits until the bridge is dead, and wants it to have died of kill -9.
func (p *parent) mourn() {
	p.t.Helper()
	c := p.child.Load()
	p.until("the bridge dies", 0, func() bool { return closed(c.dead) })
	p.child.Store(nil)
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		p.t.Fatalf("the bridge ended with %v, want it killed\n%s", c.cmd.ProcessState, p.logs.String())
	}
}

// stop ends the bridge in good order.
func (p *parent) stop() {
	p.t.Helper()
	c := p.child.Swap(nil)
	c.in.Close()
	p.until("the bridge ends", 0, func() bool { return closed(c.dead) })
	if !c.cmd.ProcessState.Success() {
		p.t.Errorf("the bridge ended with %v\n%s", c.cmd.ProcessState, p.logs.String())
	}
}

// settle waits until all receipts are recorded: nothing is left to be done.
func (p *parent) settle() {
	p.t.Helper()
	p.until("all receipts are recorded", 0, func() bool {
		var open int
		p.life.Database.ask(p.t, &open, "SELECT count(*) FROM requests WHERE state <> 'done'")
		return open == 0
	})
}

// wantLeft checks in which state the dead have left a request; "" for not at all.
func (p *parent) wantLeft(id schemas.ID, want string) {
	p.t.Helper()
	var state string
	p.life.Database.copy(p.t).ask(p.t, &state, "SELECT coalesce(max(state), '') FROM requests WHERE id = $1", id[:])
	if state != want {
		p.t.Errorf("the request was left as %q, want %q", state, want)
	}
}

// A database is what children keep their state in.
type database struct{ Driver, Source string }

func newSQLite(t *testing.T) database {
	return database{"sqlite", filepath.Join(t.TempDir(), "bridge.db")}
}

// ask asks for one value, beside the bridge.
func (d database) ask(t testing.TB, value any, query string, args ...any) {
	t.Helper()
	db, err := sql.Open(d.Driver, d.Source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(query, args...).Scan(value); err != nil {
		t.Fatal(err)
	}
}

// copy is for looking at what the dead have left: SQLite would tidy it up before
// the next start has to.
func (d database) copy(t testing.TB) database {
	t.Helper()
	if d.Driver != "sqlite" {
		return d
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(d.Source))); err != nil {
		t.Fatal(err)
	}
	d.Source = filepath.Join(dir, filepath.Base(d.Source))
	return d
}
