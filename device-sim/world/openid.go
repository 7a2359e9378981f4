package world

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/device-sim/serve"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// The bridge's registration at the provider.
const (
	clientID   = "carillon-bridge"
	clientName = "Carillon"
)

// newProvider makes the OpenID provider with everybody and every scope in it.
func (w *World) newProvider(issuer, audience string) (*provider.Provider, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	var scopes []string
	for _, s := range provider.SampleScopes() {
		scopes = append(scopes, s.Name)
	}
	return provider.New(provider.Config{
		Issuer: issuer, Key: key, Resource: audience,
		Clients: []provider.Client{{
			ID: clientID, Name: clientName, Secret: w.secret, Refresh: true, Scopes: append(scopes, "profile", "offline_access"),
		}},
		People:   provider.SamplePeople(),
		Scopes:   provider.SampleScopes(),
		Interval: w.cfg.Interval, AccessTokenLifetime: w.cfg.TokenLife,
		Observe: w.observeProvider,
		Logger:  w.cfg.Logger.With("part", "provider"),
	})
}

func (w *World) observeProvider(e provider.Event) {
	w.mu.Lock()
	w.count[e.Kind]++
	w.mu.Unlock()
	switch e.Kind {
	case provider.Redeemed:
		w.journal.tell(Event{Who: "provider", What: "tokens", Text: "hands the tokens to the bridge"})
	case provider.Renewed:
		w.journal.tell(Event{Who: "provider", What: "renewed", Text: "hands other tokens to the bridge, and rings nobody"})
	case provider.Revoked:
		w.journal.tell(Event{Who: "provider", What: "revoked", Text: "is told to forget a sign-in"})
	case provider.SlowDown:
		w.journal.tell(Event{Who: "provider", What: "slow-down", Text: fmt.Sprintf("is asked too often: wants %v from now on", e.Interval)})
	case provider.Replayed:
		w.journal.tell(Event{Who: "provider", What: "replayed", Text: "sees a spent request again and revokes the grant"})
	default:
		w.journal.wake()
	}
}

func (w *World) startProvider(ctx context.Context, a addresses) error {
	files, err := w.serverFiles(ctx, mtls.RoleServer, "provider")
	if err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	if w.provider, err = w.newProvider(w.issuer, a.settingsURL()); err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	w.providerCert = files.Certificate
	w.serveProvider(a.provider)
	for _, who := range provider.SamplePeople() {
		p, err := newPerson(who, w.provider, w.journal)
		if err != nil {
			return err
		}
		w.people = append(w.people, p)
		w.begin(p.who(), p.run)
	}
	return nil
}

func (w *World) serveProvider(l net.Listener) {
	var handler http.Handler = w.provider
	if w.cfg.Overhear != nil {
		handler = w.cfg.Overhear(handler)
	}
	p := w.begin("provider", func(ctx context.Context) error {
		return serve.HTTPS(ctx, l, handler, w.providerCert, w.cfg.Logger.With("part", "provider"))
	})
	w.mu.Lock()
	w.providerPart = p
	w.mu.Unlock()
}

// HideProvider closes the provider's listener and its connections: nobody
// reaches it. What it knows, and the phones, stay.
func (w *World) HideProvider() error {
	w.mu.Lock()
	p := w.providerPart
	w.mu.Unlock()
	w.journal.tell(Event{Who: "provider", What: "hidden", Text: "cannot be reached"})
	return p.stop()
}

// ShowProvider lets the provider be reached again, at the same address.
func (w *World) ShowProvider(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", strings.TrimPrefix(w.issuer, "https://"))
	if err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	w.serveProvider(l)
	w.journal.tell(Event{Who: "provider", What: "shown", Text: "can be reached again"})
	return nil
}
