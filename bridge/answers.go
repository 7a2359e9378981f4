package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// refusalLife is how long a refusal is published again without a receipt.
const refusalLife = 10 * time.Minute

// refused makes a refusal. A retryAfter of 0 says nothing.
func (b *Bridge) refused(id schemas.ID, code schemas.Code, retryAfter time.Duration) *schemas.Refused {
	return &schemas.Refused{
		ID:         id,
		IssuedAt:   schemas.Seconds(time.Now()),
		Code:       code,
		RetryAfter: uint16(min((retryAfter+time.Second-1)/time.Second, 65535)),
	}
}

// sign returns the message as it is published to the device.
func (b *Bridge) sign(d schemas.DeviceID, m schemas.Message) ([]byte, error) {
	signer, err := b.cfg.Signer()
	if err != nil {
		return nil, fmt.Errorf("no signer: %w", err)
	}
	return signer.Sign(schemas.DownTopic(d), m)
}

// reply publishes a message that the store does not keep: the device gets it
// again when it repeats its own.
func (b *Bridge) reply(d schemas.DeviceID, m schemas.Message) {
	signed, err := b.sign(d, m)
	if err != nil {
		b.cfg.Metrics.Published(metrics.Unsigned)
		b.log.Error("signing an answer", "device", d, "kind", m.Kind().String(), "error", err)
		return
	}
	out := message{topic: schemas.DownTopic(d), payload: signed, since: time.Now()}
	if p, ok := m.(*schemas.Pending); ok { // the others are to anybody, about anything
		out.request = p.ID
	}
	b.send(out)
}

// answer publishes the final answer to a request.
func (b *Bridge) answer(k store.Key, signed []byte) {
	b.send(message{schemas.DownTopic(k.Device), signed, time.Now(), k.ID})
}

// send publishes without waiting. What does not find room is lost: final answers
// come again by themselves, others when the device repeats its request.
func (b *Bridge) send(out message) {
	if !b.outbox.offer(out.topic.Device, out) {
		b.cfg.Metrics.Published(metrics.Crowded)
		b.log.Debug("no room to publish", "device", out.topic.Device)
	}
}

// publish is the work of the outbox.
func (b *Bridge) publish(ctx context.Context, out message) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err := b.cfg.Publisher.Publish(ctx, out.topic.String(), out.payload)
	if err != nil {
		b.log.Debug("publishing failed", "device", out.topic.Device, "error", err)
	}
	b.published(out, err)
}

// ending is the final answer to a request, which is not stored yet.
func (b *Bridge) ending(k store.Key, m schemas.Message, outcome string, until time.Time) (store.Ending, error) {
	signed, err := b.sign(k.Device, m)
	if err != nil {
		return store.Ending{}, err
	}
	return store.Ending{Key: k, Message: signed, Outcome: outcome, Now: time.Now(), Until: until}, nil
}

// refusal is the ending with a refusal.
func (b *Bridge) refusal(k store.Key, code schemas.Code, retryAfter time.Duration) (store.Ending, error) {
	return b.ending(k, b.refused(k.ID, code, retryAfter), code.String(), time.Now().Add(refusalLife))
}

// reject refuses a request that has not begun, finally.
func (b *Bridge) reject(ctx context.Context, k store.Key, what metrics.Request, r policy.Refusal) {
	e, err := b.refusal(k, r.Code, r.RetryAfter)
	if err != nil {
		b.log.Error("refusing a request", "device", k.Device, "request", k.ID, "error", err)
		return
	}
	stored, err := b.cfg.Store.Reject(ctx, e)
	if err != nil {
		b.busy(k, err)
		return
	}
	b.ended(asked{what: what}, e, stored, "reason", r.Reason)
}

// busy tells a device to come back: nothing of its request was stored.
func (b *Bridge) busy(k store.Key, why error) {
	b.cfg.Metrics.Busy(shortageOf(why))
	b.log.Debug("busy", "device", k.Device, "request", k.ID, "reason", why)
	wait := busyRetry
	if s := (shortage{}); errors.As(why, &s) && s.wait > 0 {
		wait = s.wait
	}
	b.reply(k.Device, b.refused(k.ID, schemas.Busy, b.jitter(wait)))
}

// ended publishes an ending that was made durable. With stored false somebody
// else has ended the request.
func (b *Bridge) ended(q asked, e store.Ending, stored bool, more ...any) {
	if !stored {
		b.log.Debug("an ending came too late", "device", e.Device, "request", e.ID, "outcome", e.Outcome)
		return
	}
	b.step(stepAnswered)
	b.answer(e.Key, e.Message)
	b.wakeAnswers.wake()
	b.answered(q, e, more...)
}

// persist repeats a write that must not be lost until it succeeds, the instant
// until has come, or the bridge stops.
func (b *Bridge) persist(ctx context.Context, until time.Time, write func() (bool, error)) (bool, error) {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		ok, err := write()
		if err == nil || ctx.Err() != nil || !time.Now().Before(until) || isClosed(err) {
			return ok, err
		}
		b.log.Error("the store does not take an answer, trying again", "error", err, "in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}
