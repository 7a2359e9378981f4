package capacity

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// A device believes what it is told: verifying would be paid for by this machine,
// and not by the bridge.
type device struct {
	r      *rig
	id     schemas.DeviceID
	person string // the e-mail address of who sits in it
	signer *schemas.Signer
	key    *schemas.SealKey
	seal   schemas.PublicKey // of the bridge
	heard  chan schemas.Message

	one sync.Mutex // one sign-in at a time
}

// devices makes devices and introduces them to the bridge.
func (r *rig) devices(n int) []*device {
	r.tb.Helper()
	all := make([]*device, n)
	inParallel(n, 64, func(i int) {
		id := fmt.Sprintf("car-%d", i)
		cert := r.ca.Device(id)
		d := &device{
			r: r, id: schemas.DeviceID(id), person: fmt.Sprintf("p%d@example.com", i), key: must(schemas.GenerateSealKey()),
			signer: must(schemas.NewSigner(signerKey(cert), chainOf(cert))), heard: make(chan schemas.Message, 64),
		}
		r.broker.devices.Store(d.id, d)
		hello := &schemas.Hello{ID: schemas.NewID(), IssuedAt: schemas.Seconds(time.Now()), Versions: schemas.Speaks()}
		welcome := d.insist(d.sign(hello),
			func(m schemas.Message) bool { _, ok := m.(*schemas.Welcome); return ok })
		d.seal = *welcome.(*schemas.Welcome).Sealing
		all[i] = d
	})
	return all
}

func signerKey(cert *tls.Certificate) crypto.Signer { return cert.PrivateKey.(crypto.Signer) }

func chainOf(cert *tls.Certificate) (chain []*x509.Certificate) {
	for _, der := range cert.Certificate {
		chain = append(chain, must(x509.ParseCertificate(der)))
	}
	return chain
}

// A message is what a device says, signed beforehand where a bridge is measured.
type message struct {
	topic string
	id    schemas.ID
	wire  []byte
}

func (d *device) sign(m schemas.Message) message {
	topic := schemas.UpTopic(d.id)
	return message{topic.String(), m.RequestID(), must(d.signer.Sign(topic, m))}
}

func (d *device) send(m message) {
	if err := d.r.broker.server.Publish(m.topic, m.wire, false, 1); err != nil {
		panic(err)
	}
}

// insist sends a message until the answer fits: again where it was refused, and
// where it may be lost, as agents do, as long as nobody has said "pending".
func (d *device) insist(m message, fits func(schemas.Message) bool) schemas.Message {
	for patience := 2 * time.Second; ; patience *= 2 {
		d.send(m)
		late := time.After(patience)
		for waiting := true; waiting; {
			select {
			case got := <-d.heard:
				if got.RequestID() == m.id && fits(got) {
					return got
				}
				if _, ok := got.(*schemas.Pending); ok && got.RequestID() == m.id {
					late = nil
				}
				if refused, ok := got.(*schemas.Refused); ok && got.RequestID() == m.id {
					if refused.Code != schemas.Busy {
						panic("the bridge says " + refused.Code.String())
					}
					d.r.refused.Add(1)
					time.Sleep(time.Duration(refused.RetryAfter) * time.Second)
					waiting = false
				}
			case <-late:
				waiting = false
			}
		}
	}
}

// A signIn is one that is ready to be asked for.
type signIn struct {
	device       *device
	ask, receipt message
}

// prepare returns a sign-in of the device's person.
func (d *device) prepare() signIn {
	m := &schemas.SignIn{
		ID: schemas.NewID(), IssuedAt: schemas.Seconds(time.Now()), Scope: "seat climate", Device: schemas.Car, Seat: 1,
		ResponseKey: d.key.Public(),
	}
	m.Sealed = must(schemas.SealPrivate(d.seal, d.id, m.ID, schemas.Private{LoginHint: d.person}))
	return signIn{d, d.sign(m), d.sign(&schemas.Receipt{ID: m.ID})}
}

func (s signIn) run() {
	s.device.one.Lock()
	defer s.device.one.Unlock()
	s.device.insist(s.ask, func(m schemas.Message) bool { _, ok := m.(*schemas.Granted); return ok })
	s.device.send(s.receipt)
}

// A load is sign-ins that were made.
type load struct {
	signIns int
	took    time.Duration
	cpu     time.Duration // of whoever is measured
}

// load makes n sign-ins, so many at a time, each device in its turn.
func (r *rig) load(devices []*device, atOnce, n int) load {
	all := make([]signIn, n)
	inParallel(n, 16, func(i int) { all[i] = devices[i%len(devices)].prepare() })
	before, began := r.bridge.Usage().CPU, time.Now()
	inParallel(n, min(atOnce, len(devices)), func(i int) { all[i].run() })
	return load{n, time.Since(began), r.bridge.Usage().CPU - before}
}

// and is both loads, one after the other.
func (l load) and(m load) load { return load{l.signIns + m.signIns, l.took + m.took, l.cpu + m.cpu} }

// each is the CPU of the bridge for one sign-in.
func (l load) each() time.Duration { return l.cpu / time.Duration(max(l.signIns, 1)) }

// rate is in sign-ins a second.
func (l load) rate() float64 { return float64(l.signIns) / l.took.Seconds() }
