package bridge_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// A device says what a test tells it to, and verifies what it hears.
type device struct {
	w    *world
	id   schemas.DeviceID
	mute bool // sends no receipts

	signer *schemas.Signer

	mu      sync.Mutex
	known   map[schemas.KeyID]*x509.Certificate // of bridges
	welcome *schemas.Welcome
	heard   []schemas.Message // verified
	raw     [][]byte
	keys    map[schemas.ID]*schemas.SealKey
	handle  schemas.Handle // of the last grant
}

func certChain(t testing.TB, cert *tls.Certificate) (chain []*x509.Certificate) {
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

// device adds a device that has not said hello.
func (w *world) device(id string) *device {
	w.t.Helper()
	d := &device{w: w, id: schemas.DeviceID(id), known: make(map[schemas.KeyID]*x509.Certificate), keys: make(map[schemas.ID]*schemas.SealKey)}
	d.use(w.ca.Device(id))
	w.mu.Lock()
	w.devices[d.id] = d
	w.mu.Unlock()
	return d
}

// car adds a device that was welcomed.
func (w *world) car(id string) *device {
	w.t.Helper()
	d := w.device(id)
	d.hello()
	return d
}

// use makes a certificate the device's own.
func (d *device) use(cert *tls.Certificate) {
	d.w.t.Helper()
	d.signer = signerOf(d.w.t, cert)
}

func signerOf(t testing.TB, cert *tls.Certificate) *schemas.Signer {
	t.Helper()
	signer, err := schemas.NewSigner(cert.PrivateKey.(crypto.Signer), certChain(t, cert))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (d *device) send(m schemas.Message) {
	d.w.t.Helper()
	topic := schemas.UpTopic(d.id)
	signed, err := d.signer.Sign(topic, m)
	if err != nil {
		d.w.t.Fatal(err)
	}
	d.w.hand(topic.String(), signed)
}

func (d *device) hello() {
	d.w.t.Helper()
	d.mu.Lock()
	d.welcome = nil
	d.mu.Unlock()
	d.send(&schemas.Hello{ID: schemas.NewID(), IssuedAt: schemas.Seconds(time.Now()), Versions: schemas.Speaks()})
	d.w.until("welcome", time.Second, func() bool { d.mu.Lock(); defer d.mu.Unlock(); return d.welcome != nil })
}

// receive is called with everything published to the device.
func (d *device) receive(t schemas.Topic, payload []byte) {
	env, err := schemas.Parse(t, payload)
	if err != nil {
		d.w.t.Errorf("the bridge published what does not parse: %v", err)
		return
	}
	d.w.mu.Lock()
	lose := d.w.lose
	d.w.mu.Unlock()
	if lose != nil && lose(env.Unverified()) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	leaf := d.known[env.KeyID]
	if env.Chain != nil {
		leaf = env.Chain[0]
	}
	if leaf == nil { // a refusal before the first welcome, or a renewed bridge
		leaf = d.w.signer.Load().Chain()[0]
	}
	m, err := env.Verify(leaf)
	if err != nil {
		d.w.t.Errorf("the bridge published what does not verify: %v", err)
		return
	}
	if w, ok := m.(*schemas.Welcome); ok && w.Sealing != nil {
		d.welcome = w
		d.known[env.KeyID] = leaf
	}
	d.heard, d.raw = append(d.heard, m), append(d.raw, payload)
	if final(m) && !d.mute {
		go d.send(&schemas.Receipt{ID: m.RequestID()})
	}
}

func final(m schemas.Message) bool {
	switch m := m.(type) {
	case *schemas.Granted, *schemas.Revoked:
		return true
	case *schemas.Refused:
		return m.Code.Final()
	}
	return false
}

// signIn is a request with a login hint, or with the handle if hint is "".
func (d *device) signIn(hint string) *schemas.SignIn {
	d.w.t.Helper()
	key, err := schemas.GenerateSealKey()
	if err != nil {
		d.w.t.Fatal(err)
	}
	m := &schemas.SignIn{
		ID: schemas.NewID(), IssuedAt: schemas.Seconds(time.Now()), Scope: "seat climate",
		Device: schemas.Car, Seat: 1, ResponseKey: key.Public(),
	}
	d.mu.Lock()
	d.keys[m.ID] = key
	handle := d.handle
	d.mu.Unlock()
	if hint == "" {
		m.Person = &handle
		return m
	}
	d.private(m, schemas.Private{LoginHint: hint})
	return m
}

// private seals p into m.
func (d *device) private(m *schemas.SignIn, p schemas.Private) {
	d.w.t.Helper()
	sealed, err := schemas.SealPrivate(d.w.seal.Public(), d.id, m.ID, p)
	if err != nil {
		d.w.t.Fatal(err)
	}
	m.Sealed = sealed
}

// answers returns what the device has heard about a request.
func (d *device) answers(id schemas.ID) (all []schemas.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.heard {
		if m.RequestID() == id {
			all = append(all, m)
		}
	}
	return all
}

// all returns everything the device has heard.
func (d *device) all() ([]schemas.Message, int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.heard), len(d.heard)
}

// final returns the first final answer to a request, or nil.
func (d *device) final(id schemas.ID) schemas.Message {
	for _, m := range d.answers(id) {
		if final(m) {
			return m
		}
	}
	return nil
}

// await waits for the final answer.
func (d *device) await(id schemas.ID, limit time.Duration) schemas.Message {
	d.w.t.Helper()
	d.w.until("final answer", limit, func() bool { return d.final(id) != nil })
	return d.final(id)
}

// ask sends a request once and waits for the final answer.
func (d *device) ask(m schemas.Message) schemas.Message {
	d.w.t.Helper()
	d.send(m)
	return d.await(m.RequestID(), 10*time.Minute)
}

// grant sends a request and wants it granted.
func (d *device) grant(m *schemas.SignIn) schemas.Grant {
	d.w.t.Helper()
	g, ok := d.ask(m).(*schemas.Granted)
	if !ok {
		d.w.t.Fatalf("answer %+v, want a grant\n%s", d.final(m.ID), d.w.logs.String())
	}
	return d.open(g)
}

func (d *device) open(g *schemas.Granted) schemas.Grant {
	d.w.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	opened, err := schemas.OpenGrant(d.keys[g.ID], d.id, g.ID, g.Sealed)
	if err != nil {
		d.w.t.Fatal(err)
	}
	d.handle = opened.Person
	return opened
}

// refused sends a request and wants it refused.
func (d *device) refused(m schemas.Message, want schemas.Code) *schemas.Refused {
	d.w.t.Helper()
	d.send(m)
	d.w.until("refusal", 10*time.Minute, func() bool { return d.refusal(m.RequestID()) != nil })
	r := d.refusal(m.RequestID())
	if r.Code != want {
		d.w.t.Fatalf("refused as %v, want %v\n%s", r.Code, want, d.w.logs.String())
	}
	return r
}

// refusal returns the latest refusal of a request, or nil.
func (d *device) refusal(id schemas.ID) (last *schemas.Refused) {
	for _, m := range d.answers(id) {
		if r, ok := m.(*schemas.Refused); ok {
			last = r
		}
	}
	return last
}
