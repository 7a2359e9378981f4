package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// publishTime bounds how long one message waits for the broker.
const publishTime = 30 * time.Second

// send publishes what the loop says, in order.
func (a *Agent) send(ctx context.Context) {
	topic := a.up.String()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.out.wake:
		}
		for payload, ok := a.out.take(); ok && ctx.Err() == nil; payload, ok = a.out.take() {
			attempt, cancel := context.WithTimeout(ctx, publishTime)
			if err := a.cfg.Publisher.Publish(attempt, topic, payload); err != nil && ctx.Err() == nil {
				a.log.Debug("a message was perhaps not sent", "error", err)
			}
			cancel()
		}
	}
}

// say signs a message and hands it to the sender.
func (a *Agent) say(m schemas.Message) error {
	wire, err := a.signer.Sign(a.up, m)
	if err != nil {
		return err
	}
	return a.put(wire)
}

func (a *Agent) put(wire []byte) error {
	if !a.out.put(wire) {
		return fmt.Errorf("%d messages wait to be sent", a.out.max)
	}
	return nil
}

// receipt tells the bridge that it may forget an answer.
func (a *Agent) receipt(id schemas.ID) {
	if !a.connected {
		return // the bridge says it again
	}
	if err := a.say(&schemas.Receipt{ID: id}); err != nil {
		a.log.Warn("cannot send a receipt", "request", id, "error", err)
	}
}

// stepRequest does what is due about a request.
func (a *Agent) stepRequest(r *request, now time.Time) {
	t := r.next(a.ready())
	if t.IsZero() || now.Before(t) {
		return
	}
	if r.entry.SignIn != nil {
		switch {
		case !r.sent && !now.Before(r.deadline):
			a.end(r, ended{State: StateUnsent})
			return
		case !now.Before(r.giveUp):
			a.end(r, ended{State: StateUnknown})
			return
		case !r.closing && !now.Before(r.closes()):
			r.news(now)
			r.closing = true
		}
	}
	if !a.ready() || r.answered || now.Before(r.due) {
		return
	}
	if err := a.sayRequest(r); err != nil {
		a.log.Error("a request cannot be sent", "request", r.entry.ID, "error", err)
	}
	r.tried(now)
}

// sayRequest says the request, or that it is withdrawn.
func (a *Agent) sayRequest(r *request) error {
	if r.withdraws() {
		return a.say(&schemas.Cancel{ID: r.entry.ID})
	}
	if !a.current(r) {
		if err := a.sign(r); err != nil {
			return err
		}
	}
	return a.put(r.wire)
}

// current reports whether the bytes signed last can be sent again.
func (a *Agent) current(r *request) bool {
	const margin = 15 * time.Second // for the way to the bridge
	return r.wire != nil && r.kid == a.signer.KeyID() &&
		(!r.entry.NeedsSealing() || r.sealing == a.bridges.Sealing) &&
		schemas.Fresh(r.iat, a.clock.Now().Add(margin)) == nil
}

func (a *Agent) sign(r *request) error {
	r.iat = schemas.Seconds(a.clock.Now())
	m, err := r.entry.Message(a.device, r.iat, a.bridges.Sealing)
	if err != nil {
		return err
	}
	r.wire, err = a.signer.Sign(a.up, m)
	r.kid, r.sealing = a.signer.KeyID(), a.bridges.Sealing
	return err
}

// ordered returns the open requests, sign-outs first: who has left must not be
// signed out after having come back.
func (a *Agent) ordered() []*request {
	all := make([]*request, 0, len(a.requests))
	for _, r := range a.requests {
		all = append(all, r)
	}
	slices.SortFunc(all, func(x, y *request) int {
		outs := func(r *request) int {
			if r.entry.SignOut != nil {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(outs(x), outs(y)), x.entry.Created.Compare(y.entry.Created),
			bytes.Compare(x.entry.ID[:], y.entry.ID[:]))
	})
	return all
}

// refreshSigner takes up the device's certificate as it is now. On an error the
// last one stays in use.
func (a *Agent) refreshSigner() error {
	cert, err := a.cfg.Certificate()
	if err != nil {
		return fmt.Errorf("agent: certificate: %w", err)
	}
	if a.signer != nil && bytes.Equal(cert.Certificate[0], a.signer.Chain()[0].Raw) {
		return nil
	}
	chain := make([]*x509.Certificate, len(cert.Certificate))
	for i, der := range cert.Certificate {
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return fmt.Errorf("agent: certificate %d of the chain: %w", i, err)
		}
	}
	id, err := mtls.IdentityOf(chain[0])
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	if id.Role != mtls.RoleDevice || (a.signer != nil && id.ID != string(a.device)) {
		return fmt.Errorf("agent: certificate is for %s, want a device's, and always the same", id)
	}
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return fmt.Errorf("agent: a key of type %T cannot sign", cert.PrivateKey)
	}
	signer, err := schemas.NewSigner(key, chain)
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	a.signer = signer
	a.identify(schemas.DeviceID(id.ID))
	a.clock.Certificate(chain[0].NotBefore, chain[0].NotAfter)
	if schemas.KeyID(a.state.Introduced) != signer.KeyID() {
		a.needHello("the bridge does not know the certificate yet")
	}
	return nil
}
