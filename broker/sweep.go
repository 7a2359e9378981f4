package broker

import (
	"context"
	"time"
)

// valid judges the certificate of a client now. TLS did so once, at the
// handshake, and a connection may last for weeks.
func (b *Broker) valid(c *conn) error {
	if time.Now().After(c.leaf.NotAfter) {
		return errExpired
	}
	if b.cfg.Revoked != nil && b.cfg.Revoked(c.leaf) {
		return errRevoked
	}
	return nil
}

// Sweep ends the sessions of expired and revoked certificates now. It is for
// mtls.RevocationConfig.OnChange; the broker also does it by itself, see
// [Limits].
func (b *Broker) Sweep() {
	for _, c := range b.registry.snapshot() {
		if err := b.valid(c); err != nil {
			c.end(err)
		}
	}
}

func (b *Broker) sweepEvery(ctx context.Context) {
	ticker := time.NewTicker(b.limits.SweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			b.Sweep()
		}
	}
}
