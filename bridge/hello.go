package bridge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/schemas"
)

// maxPeers is how many certificates of other bridges a welcome carries.
const maxPeers = 8

// peerMemory is for how long a bridge that is gone is still named, so that
// answers which it signed can be verified.
const peerMemory = 2 * time.Hour

// hello verifies and keeps a device's chain, and welcomes the device.
func (b *Bridge) hello(ctx context.Context, d schemas.DeviceID, env *schemas.Envelope) {
	now := time.Now()
	// The signature first: the chain alone is public, and costs more to verify.
	m, err := env.Verify(env.Chain[0])
	if err != nil {
		b.drop(d, metrics.Unverified, err)
		return
	}
	from, err := b.senders.introduce(ctx, d, env.Chain, now)
	if err != nil {
		b.drop(d, metrics.Unverified, fmt.Errorf("hello: %w", err))
		return
	}
	if b.senders.isRevoked(from) {
		b.shutOut(d, m, from)
		return
	}
	h, ok := m.(*schemas.Hello)
	if !ok {
		b.drop(d, metrics.OutOfPlace, fmt.Errorf("a %v with a chain", m.Kind()))
		return
	}
	if _, ok := schemas.Speaks().Common(h.Versions); !ok {
		b.reply(d, b.refused(h.ID, schemas.UnsupportedVersion, 0))
		return
	}
	w := b.greeting.welcome(h, now)
	if h.Wanted != nil {
		b.name(ctx, w, *h.Wanted, now)
	}
	b.reply(d, w)
}

// name makes a welcome name the bridge that a device has asked for. A bridge that
// has joined since the greeting was made is not in it, nor are all of many.
func (b *Bridge) name(ctx context.Context, w *schemas.Welcome, kid schemas.KeyID, now time.Time) {
	signer, err := b.cfg.Signer()
	if err != nil || signer.KeyID() == kid { // its own is in the chain
		return
	}
	leaf, err := b.cfg.Store.Bridge(ctx, kid, now)
	if err != nil {
		b.log.Error("looking for the bridge that a device asks for", "error", err)
		return
	}
	if leaf == nil || slices.ContainsFunc(w.Peers, func(p schemas.Bytes) bool { return bytes.Equal(p, leaf) }) {
		return
	}
	peers := append(peersOf(signer.Chain()[0], [][]byte{leaf}), w.Peers...)
	w.Peers = peers[:min(len(peers), maxPeers)]
}

// A greeting is what welcomes say. It changes with the bridge's certificate and
// with the bridges that share the work.
type greeting struct {
	mu      sync.Mutex // guards the rest
	name    schemas.WelcomeID
	sealing schemas.PublicKey
	peers   []schemas.Bytes // replaced, never changed
}

// set takes up what welcomes say from now on. Its name is the same for all
// bridges that share the work: it does not matter which of them says it.
func (g *greeting) set(signer *schemas.Signer, sealing schemas.PublicKey, leaves [][]byte) {
	own := signer.Chain()
	peers := peersOf(own[0], leaves)
	all := append([]schemas.Bytes{own[0].Raw}, peers...)
	slices.SortFunc(all, func(a, b schemas.Bytes) int { return bytes.Compare(a, b) })
	for _, c := range own[1:] {
		all = append(all, c.Raw)
	}
	sum := sha256.New()
	for _, der := range all {
		sum.Write(der)
	}
	sum.Write(sealing[:])
	speaks := schemas.Speaks()
	sum.Write([]byte{speaks.Min, speaks.Max})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.name, g.sealing, g.peers = schemas.WelcomeID(sum.Sum(nil)[:8]), sealing, peers
}

// peersOf returns the leaves that a device can verify with the chain of own:
// those of the same issuer.
func peersOf(own *x509.Certificate, leaves [][]byte) (peers []schemas.Bytes) {
	for _, der := range leaves {
		leaf, err := x509.ParseCertificate(der)
		if err == nil && !leaf.Equal(own) && bytes.Equal(leaf.RawIssuer, own.RawIssuer) && len(peers) < maxPeers {
			peers = append(peers, der)
		}
	}
	return peers
}

// welcome answers a hello. A device that has seen all of it, and can verify what
// it was sent, is told its name alone.
func (g *greeting) welcome(h *schemas.Hello, now time.Time) *schemas.Welcome {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := &schemas.Welcome{ID: h.ID, IssuedAt: schemas.Seconds(now), Versions: schemas.Speaks(), Name: g.name}
	if h.Seen == nil || *h.Seen != g.name || h.Wanted != nil {
		sealing := g.sealing
		w.Sealing, w.Peers = &sealing, g.peers
	}
	return w
}

// refreshGreeting registers the bridge's certificate, and takes up the others' and
// the bridge's share of the polls.
func (b *Bridge) refreshGreeting(ctx context.Context) error {
	signer, err := b.cfg.Signer()
	if err != nil {
		return fmt.Errorf("no signer: %w", err)
	}
	now := time.Now()
	if err := b.cfg.Store.PutBridge(ctx, signer.Chain()[0], now); err != nil {
		return fmt.Errorf("registering the bridge: %w", err)
	}
	if err := b.takeShare(ctx, now); err != nil {
		return err
	}
	leaves, err := b.cfg.Store.Bridges(ctx, now, now.Add(-peerMemory), maxPeers+1)
	if err != nil {
		return fmt.Errorf("looking for other bridges: %w", err)
	}
	b.greeting.set(signer, b.sealing.Load().first, leaves)
	return nil
}
