package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// A message is one on its way in or out.
type message struct {
	topic   schemas.Topic
	payload []byte
	since   time.Time  // when it was queued
	request schemas.ID // on its way out: whose trace it belongs to; zero for none
}

// Handle takes in what arrived on a topic. It never blocks: a message for which
// there is no room is dropped, and the device repeats it. Before and after Run
// everything is dropped. The payload is copied.
func (b *Bridge) Handle(topic string, payload []byte) {
	b.cfg.Metrics.Received()
	now := time.Now()
	t, err := schemas.ParseTopic(topic)
	switch {
	case err != nil:
		b.drop("", metrics.Malformed, err)
	case t.Way != schemas.Up:
		b.drop(t.Device, metrics.Malformed, errors.New("not an up topic"))
	case len(payload) > schemas.MaxUp:
		b.drop(t.Device, metrics.Malformed, fmt.Errorf("%d bytes, limit %d", len(payload), schemas.MaxUp))
	case !b.running.Load():
		b.drop(t.Device, metrics.NotRunning, errors.New("not running"))
	case !b.pace.pass(t.Device, now):
		b.drop(t.Device, metrics.TooFast, errors.New("the device sends too fast"))
	case !b.intake.offer(t.Device, message{topic: t, payload: bytes.Clone(payload), since: now}):
		b.drop(t.Device, metrics.NoRoom, errors.New("no room"))
	}
}

// drop counts a message that gets no answer. Nothing in it was authenticated, so
// it must not fill the log.
func (b *Bridge) drop(d schemas.DeviceID, reason metrics.Drop, why error) {
	b.cfg.Metrics.Dropped(reason)
	b.log.Debug("message dropped", "device", d, "reason", why)
}

// receive takes a message apart, makes sure of who signed it, and acts on it.
func (b *Bridge) receive(ctx context.Context, in message) {
	now := time.Now()
	b.cfg.Metrics.Stage(metrics.Queue, now.Sub(in.since))
	d := in.topic.Device
	env, err := schemas.Parse(in.topic, in.payload)
	if err != nil {
		b.drop(d, metrics.Malformed, err)
		return
	}
	if env.Chain != nil {
		b.hello(ctx, d, env)
		return
	}
	from, known, err := b.senders.find(ctx, d, env.KeyID, now)
	switch {
	case err != nil:
		b.log.Error("looking for a device's certificate", "device", d, "error", err)
		return
	case !known:
		b.unknownKey(d, env)
		return
	}
	m, err := env.Verify(from.leaf)
	if err != nil {
		b.drop(d, metrics.Unverified, err)
		return
	}
	if b.senders.isRevoked(from) {
		b.shutOut(d, m, from)
		return
	}
	b.act(ctx, d, env.KeyID, m)
}

// act gives an authenticated message to whom it concerns.
func (b *Bridge) act(ctx context.Context, d schemas.DeviceID, from schemas.KeyID, m schemas.Message) {
	switch m := m.(type) {
	case *schemas.SignIn:
		b.signIn(ctx, d, from, m)
	case *schemas.Cancel:
		b.cancel(ctx, d, m)
	case *schemas.Receipt:
		b.receipt(ctx, d, m)
	case *schemas.SignOut:
		b.signOut(ctx, d, m)
	case *schemas.Renew:
		b.renew(ctx, d, from, m)
	default: // a proof that nobody asked for
		b.drop(d, metrics.OutOfPlace, fmt.Errorf("a %v out of place", m.Kind()))
	}
}

// unknownKey asks a device to say hello. Whether it was the device that spoke is
// not known, so the answer ends nothing, and comes seldom.
func (b *Bridge) unknownKey(d schemas.DeviceID, env *schemas.Envelope) {
	b.drop(d, metrics.UnknownKey, fmt.Errorf("signed with the unknown key %v", env.KeyID))
	if b.knocks.pass(d, time.Now()) {
		b.reply(d, b.refused(env.Unverified().RequestID(), schemas.UnknownKey, 0))
	}
}

// shutOut answers a device whose certificate was revoked. That is not kept in the
// store: the device gets it each time.
func (b *Bridge) shutOut(d schemas.DeviceID, m schemas.Message, from sender) {
	b.log.Info("a revoked device speaks", "device", d, "serial", fmt.Sprintf("%x", from.leaf.SerialNumber))
	switch m.(type) {
	case *schemas.SignIn, *schemas.Renew, *schemas.SignOut, *schemas.Hello:
		b.reply(d, b.refused(m.RequestID(), schemas.NotAllowed, 0))
	}
}

// isNew reports whether a request has not been seen before and was made within
// the window of [schemas.Fresh]. Any other is answered here: a repeated one with
// its state, whatever the time, so that a device may ask for as long as it likes.
func (b *Bridge) isNew(ctx context.Context, k store.Key, iat uint64) bool {
	r, known, err := b.cfg.Store.Find(ctx, k)
	if err != nil {
		b.busy(k, err)
		return false
	}
	if known {
		b.repeat(r)
		return false
	}
	if err := schemas.Fresh(iat, time.Now()); err != nil {
		b.log.Debug("clock skew", "device", k.Device, "request", k.ID, "reason", err)
		b.reply(k.Device, b.refused(k.ID, schemas.ClockSkew, 0))
		return false
	}
	return true
}
