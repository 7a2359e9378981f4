package link_test

import (
	"crypto/tls"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/broker/link"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

var linkTLS = link.TLSDialer

// patience bounds what a broker on this machine may take.
const patience = 20 * time.Second

// member is a link to mosquitto and what has come through it.
type member struct {
	*link.Link
	t   *testing.T
	up  chan struct{}
	got chan string // "topic payload"
}

// join connects the holder of cert and waits until the link is up.
func (m *mosquitto) join(cert *tls.Certificate, clientID string, subscribe ...string) *member {
	m.t.Helper()
	c := m.begin(cert, clientID, subscribe...)
	c.waitUp()
	return c
}

func (m *mosquitto) begin(cert *tls.Certificate, clientID string, subscribe ...string) *member {
	m.t.Helper()
	c := &member{t: m.t, up: make(chan struct{}, 100), got: make(chan string, 1000)}
	c.Link = run(m.t, link.Config{
		Dial: m.dial(cert), ClientID: clientID, Subscribe: subscribe,
		MinBackoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond,
		Handler: func(topic string, payload []byte) { c.got <- topic + " " + string(payload) },
		OnUp:    func() { c.up <- struct{}{} },
	})
	return c
}

func (c *member) waitUp() {
	c.t.Helper()
	select {
	case <-c.up:
	case <-time.After(patience):
		c.t.Fatalf("the link does not come up: %+v", c.Status())
	}
}

func (c *member) say(topic, payload string) {
	c.t.Helper()
	if err := c.Publish(c.t.Context(), topic, []byte(payload)); err != nil {
		c.t.Fatalf("publishing %q: %v", topic, err)
	}
}

func (c *member) expect(want string) {
	c.t.Helper()
	select {
	case got := <-c.got:
		if got != want {
			c.t.Errorf("received %q, want %q", got, want)
		}
	case <-time.After(patience):
		c.t.Fatalf("received nothing, want %q; %+v", want, c.Status())
	}
}

// nothing checks what has come so far; the caller has made sure that anything
// else would have come by now.
func (c *member) nothing() {
	c.t.Helper()
	select {
	case got := <-c.got:
		c.t.Errorf("received %q", got)
	default:
	}
}

func TestInteropMosquitto(t *testing.T) {
	m := startMosquitto(t)
	a := m.Authority
	bridge := m.join(a.Bridge("bridge-1"), "bridge:bridge-1", schemas.UpFilter)
	d1 := m.join(a.Device("d1"), "d1", "carillon/v1/d1/down")
	d2 := m.join(a.Device("d2"), "d2", "carillon/v1/d2/down")

	d1.say("carillon/v1/d1/up", "question")
	bridge.expect("carillon/v1/d1/up question")
	bridge.say("carillon/v1/d1/down", "answer")
	d1.expect("carillon/v1/d1/down answer")

	// Killed and started again: everybody comes back with their subscriptions.
	m.kill()
	m.start()
	for _, c := range []*member{bridge, d1, d2} {
		c.waitUp()
	}
	d1.say("carillon/v1/d1/up", "again")
	bridge.expect("carillon/v1/d1/up again")
	bridge.say("carillon/v1/d1/down", "answer again")
	d1.expect("carillon/v1/d1/down answer again")
	d2.nothing()
	for _, c := range []*member{bridge, d1, d2} {
		if s := c.Status(); s.Connections != 2 || s.State != link.Up {
			t.Errorf("status %+v", s)
		}
	}
}

func TestInteropMosquittoSharesAmongBridges(t *testing.T) {
	const messages = 100
	m := startMosquitto(t)
	one := m.join(m.Authority.Bridge("bridge-1"), "bridge:bridge-1", schemas.UpFilter)
	two := m.join(m.Authority.Bridge("bridge-2"), "bridge:bridge-2", schemas.UpFilter)
	d := m.join(m.Authority.Device("d1"), "d1")
	for range messages {
		d.say("carillon/v1/d1/up", "x")
	}
	deadline := time.After(patience)
	for one.Status().Received+two.Status().Received < messages {
		select {
		case <-deadline:
			t.Fatalf("received %d and %d of %d", one.Status().Received, two.Status().Received, messages)
		case <-time.After(time.Millisecond):
		}
	}
	a, b := one.Status().Received, two.Status().Received
	if a+b != messages || a == 0 || b == 0 {
		t.Errorf("received %d and %d of %d", a, b, messages)
	}

	// One that is about to leave loses nothing.
	if err := one.Unsubscribe(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range messages {
		d.say("carillon/v1/d1/up", "x")
	}
	deadline = time.After(patience)
	for two.Status().Received < b+messages {
		select {
		case <-deadline:
			t.Fatalf("received %d of %d after the other has unsubscribed", two.Status().Received-b, messages)
		case <-time.After(time.Millisecond):
		}
	}
}

// A device that speaks and listens where it may not gets nothing, costs nobody
// anything, and does not fall into a loop of reconnections.
func TestInteropMosquittoForeignTopics(t *testing.T) {
	m := startMosquitto(t)
	a := m.Authority
	victim := m.join(a.Device("victim"), "victim", "carillon/v1/victim/down")
	bridge := m.join(a.Bridge("bridge-1"), "bridge:bridge-1", schemas.UpFilter)
	// It grants these subscriptions, and delivers nothing on them.
	mallory := m.join(a.Device("mallory"), "mallory",
		"carillon/v1/victim/down", "carillon/v1/+/down", "#", schemas.UpFilter, "$SYS/#")

	for _, topic := range []string{"carillon/v1/victim/up", "carillon/v1/victim/down", "carillon/v1/mallory/down", "x"} {
		if err := mallory.Publish(t.Context(), topic, []byte("evil")); err != nil {
			t.Logf("publishing %q: %v", topic, err)
		}
	}
	// Messages of one sender arrive in order, so that what these pass has gone
	// nowhere. Half of the up messages would go to mallory if it could read.
	for range 4 {
		mallory.say("carillon/v1/mallory/up", "mine")
		victim.say("carillon/v1/victim/up", "to the bridge")
	}
	bridge.say("carillon/v1/victim/down", "to the victim")
	victim.expect("carillon/v1/victim/down to the victim")
	bridge.say("carillon/v1/mallory/down", "to mallory")
	mallory.expect("carillon/v1/mallory/down to mallory")
	mallory.nothing()
	victim.nothing()
	for len(bridge.got) > 0 {
		if got := <-bridge.got; strings.HasSuffix(got, "evil") {
			t.Errorf("the bridge received %q", got)
		}
	}
	if s := mallory.Status(); s.Connections != 1 {
		t.Errorf("mallory was connected %d times", s.Connections)
	}
}

// What docs/mosquitto.md says that it does not enforce. If this test fails, it
// has learned to, and the page is wrong.
func TestInteropMosquittoWeaknesses(t *testing.T) {
	const messages = 100
	const secret = "$share/3b1c9e0d7f/carillon/v1/+/up"
	m := startMosquitto(t)
	a := m.Authority
	open := m.join(a.Bridge("bridge-1"), "bridge:bridge-1", schemas.UpFilter)
	hidden := m.join(a.Bridge("bridge-2"), "bridge:bridge-2", secret)
	cert := a.Device("d1")
	d := m.join(cert, "d1", "carillon/v1/d1/down")

	// A device that knows the group of the bridges takes its turns in it, and
	// what it is dealt is gone, for it may not read it. A group that it does not
	// know loses nothing.
	mallory := m.join(a.Device("mallory"), "mallory", schemas.UpFilter)
	for range messages {
		d.say("carillon/v1/d1/up", "x")
	}
	for range messages {
		hidden.expect("carillon/v1/d1/up x")
	}
	mallory.nothing()
	if n := open.Status().Received; n >= messages {
		t.Errorf("the bridge received all %d messages in spite of the device in its group", n)
	}

	// A device with the common name of a bridge is that bridge.
	open.Close()
	m.join(a.Device("bridge-1"), "x").say("carillon/v1/d1/down", "not from a bridge")
	d.expect("carillon/v1/d1/down not from a bridge")

	// A new revocation list is read on SIGHUP, and ends no connection.
	a.Revoke(cert.Leaf)
	m.writeCRL()
	if err := m.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	m.waitRefused(cert)
	d.say("carillon/v1/d1/up", "revoked and still here")
	hidden.expect("carillon/v1/d1/up revoked and still here")
	if s := d.Status(); s.Connections != 1 {
		t.Errorf("the revoked device was connected %d times", s.Connections)
	}
}

// waitRefused waits until new connections of the holder of cert are refused.
func (m *mosquitto) waitRefused(cert *tls.Certificate) {
	m.t.Helper()
	for range 200 {
		conn, err := m.dial(cert)(m.t.Context())
		if err != nil {
			return
		}
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err = conn.Read(make([]byte, 1)) // with TLS 1.3 the refusal comes after the handshake
		conn.Close()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
	m.t.Fatal("a revoked certificate is still accepted")
}

// What a signal makes it read again: its certificate, and the rules, which also
// hold for those who are connected.
func TestInteropMosquittoReloads(t *testing.T) {
	m := startMosquitto(t)
	bridge := m.join(m.Authority.Bridge("bridge-1"), "bridge:bridge-1", schemas.UpFilter)
	bad := m.join(m.Authority.Device("stolen"), "stolen", "carillon/v1/stolen/down")
	d := m.join(m.Authority.Device("d1"), "d1", "carillon/v1/d1/down")
	before := m.shown()
	m.writeBroker()
	m.write("acl", []byte(m.read("acl")+"\nuser stolen\ntopic deny carillon/v1/stolen/up\ntopic deny carillon/v1/stolen/down\n"))
	if err := m.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); m.shown() == before; {
		if time.Now().After(end) {
			t.Fatal("the new certificate is not shown")
		}
	}
	bad.say("carillon/v1/stolen/up", "too late")
	bridge.say("carillon/v1/stolen/down", "too late")
	bridge.say("carillon/v1/d1/down", "still here")
	d.expect("carillon/v1/d1/down still here")
	d.say("carillon/v1/d1/up", "still here")
	bridge.expect("carillon/v1/d1/up still here")
	bad.nothing()
}

// shown is the serial number of the certificate that it shows.
func (m *mosquitto) shown() string {
	m.t.Helper()
	conn, err := m.dial(m.Authority.Device("reader"))(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// A revocation list that is out of date refuses everybody; the page says so.
func TestInteropMosquittoOldRevocationList(t *testing.T) {
	m := startMosquitto(t)
	m.kill()
	var der []byte
	synctest.Test(t, func(*testing.T) { der = m.Authority.CRL() }) // made in the year 2000
	m.write("crl.pem", encodePEM("X509 CRL", der))
	m.start()
	m.waitRefused(m.Authority.Device("d1"))
}

// The client id that a device asks for is replaced by the name in its
// certificate: nobody ends another's connection by asking for its id.
func TestInteropMosquittoClientID(t *testing.T) {
	m := startMosquitto(t)
	victim := m.join(m.Authority.Device("victim"), "victim", "carillon/v1/victim/down")
	m.join(m.Authority.Device("mallory"), "victim", "carillon/v1/victim/down")
	bridge := m.join(m.Authority.Bridge("bridge-1"), "bridge:bridge-1")
	bridge.say("carillon/v1/victim/down", "hello")
	victim.expect("carillon/v1/victim/down hello")
	if s := victim.Status(); s.Connections != 1 {
		t.Errorf("the victim was connected %d times", s.Connections)
	}
}

func TestInteropMosquittoRefusesStrangers(t *testing.T) {
	m := startMosquitto(t)
	id := mtls.Identity{Role: mtls.RoleDevice, ID: "d1"}
	revoked := m.Authority.Device("d1")
	m.Authority.Revoke(revoked.Leaf)
	m.kill()
	m.writeCRL()
	m.start()
	var wg sync.WaitGroup
	for name, cert := range map[string]*tls.Certificate{
		"another authority": mtlstest.New(t).Device("d1"),
		"expired":           m.Authority.Expired(id),
		"revoked":           revoked,
		"a broker":          m.Authority.Broker("127.0.0.1"),
	} {
		c := m.begin(cert, "d1")
		wg.Go(func() {
			for c.Status().Failures < 3 {
				select {
				case <-c.up:
					t.Errorf("%s: connected", name)
					return
				case <-time.After(time.Millisecond):
				}
			}
			t.Logf("%s: %v", name, c.Status().Err)
		})
	}
	wg.Wait()
	m.join(m.Authority.Device("d1"), "d1") // a new certificate of the same device
}
