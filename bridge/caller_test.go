package bridge_test

import (
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// A caller is a device of a cluster, which does not know how many bridges there
// are.
type caller struct {
	c      *cluster
	id     schemas.DeviceID
	signer *schemas.Signer
	key    *schemas.SealKey

	mu    sync.Mutex
	heard map[schemas.ID][]schemas.Message // verified
}

// call adds a device and has it say hello.
func (c *cluster) call(id string) *caller {
	c.t.Helper()
	d := &caller{c: c, id: schemas.DeviceID(id), signer: signerOf(c.t, c.ca.Device(id)), key: must(schemas.GenerateSealKey()), heard: make(map[schemas.ID][]schemas.Message)}
	c.mu.Lock()
	c.cars[d.id] = d
	c.mu.Unlock()
	hello := &schemas.Hello{ID: schemas.NewID(), IssuedAt: schemas.Seconds(time.Now()), Versions: schemas.Speaks()}
	d.send(hello)
	c.until("welcome", func() bool { return len(d.answers(hello.ID)) > 0 })
	return d
}

// sign returns the topic of a message and the message as it is sent.
func (d *caller) sign(m schemas.Message) (topic string, payload []byte) {
	t := schemas.UpTopic(d.id)
	return t.String(), must(d.signer.Sign(t, m))
}

// send has the broker choose a bridge.
func (d *caller) send(m schemas.Message) { d.c.deliver(d.sign(m)) }

// tell gives a message to one bridge.
func (d *caller) tell(r *replica, m schemas.Message) { r.bridge.Handle(d.sign(m)) }

func (d *caller) signIn(hint string) *schemas.SignIn {
	m := &schemas.SignIn{
		ID: schemas.NewID(), IssuedAt: schemas.Seconds(time.Now()), Scope: "seat climate",
		Device: schemas.Car, Seat: 1, ResponseKey: d.key.Public(),
	}
	m.Sealed = must(schemas.SealPrivate(d.c.seal.Public(), d.id, m.ID, schemas.Private{LoginHint: hint}))
	return m
}

// insist repeats a request, as an agent does, until there is a final answer or
// the test is over.
func (d *caller) insist(m *schemas.SignIn) {
	for d.c.t.Context().Err() == nil && d.final(m.ID) == nil {
		again := *m
		again.IssuedAt = schemas.Seconds(time.Now())
		d.send(&again)
		select {
		case <-time.After(500 * time.Millisecond):
		case <-d.c.t.Context().Done():
		}
	}
}

// receive is called with everything that is published to the device.
func (d *caller) receive(t schemas.Topic, payload []byte) error {
	env, err := schemas.Parse(t, payload)
	if err != nil {
		return err
	}
	leaf := d.c.leaf(env.KeyID)
	if leaf == nil {
		return fmt.Errorf("signed by nobody's key %v", env.KeyID)
	}
	m, err := env.Verify(leaf)
	if err != nil {
		d.c.t.Errorf("a bridge published what does not verify: %v", err)
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.heard[m.RequestID()] = append(d.heard[m.RequestID()], m)
	if final(m) {
		go d.send(&schemas.Receipt{ID: m.RequestID()})
	}
	return nil
}

// leaf returns the certificate of the bridge that has a key.
func (c *cluster) leaf(kid schemas.KeyID) *x509.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.replicas {
		if schemas.KeyIDOf(r.leaf) == kid {
			return r.leaf
		}
	}
	return nil
}

func (d *caller) answers(id schemas.ID) []schemas.Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]schemas.Message(nil), d.heard[id]...)
}

// final returns the first final answer to a request, or nil.
func (d *caller) final(id schemas.ID) schemas.Message {
	for _, m := range d.answers(id) {
		if final(m) {
			return m
		}
	}
	return nil
}

// await waits for the final answer.
func (d *caller) await(id schemas.ID) schemas.Message {
	d.c.t.Helper()
	d.c.until("final answer", func() bool { return d.final(id) != nil })
	return d.final(id)
}
