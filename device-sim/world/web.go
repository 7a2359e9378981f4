package world

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/device-sim/settings"
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
		Clients:  []provider.Client{{ID: clientID, Name: clientName, Secret: w.secret, Scopes: append(scopes, "profile")}},
		People:   provider.SamplePeople(),
		Scopes:   provider.SampleScopes(),
		Interval: w.cfg.Interval,
		Observe:  w.observeProvider,
		Logger:   w.cfg.Logger.With("part", "provider"),
	})
}

func (w *World) observeProvider(e provider.Event) {
	w.mu.Lock()
	w.count[e.Kind]++
	w.mu.Unlock()
	switch e.Kind {
	case provider.Redeemed:
		w.journal.tell(Event{Who: "provider", What: "tokens", Text: "hands the tokens to the bridge"})
	case provider.SlowDown:
		w.journal.tell(Event{Who: "provider", What: "slow-down", Text: fmt.Sprintf("is asked too often: wants %v from now on", e.Interval)})
	case provider.Replayed:
		w.journal.tell(Event{Who: "provider", What: "replayed", Text: "sees a spent request again and revokes the grant"})
	default:
		w.journal.wake()
	}
}

// newSettings makes the settings API.
func (w *World) newSettings(issuer, audience string) (*settings.API, error) {
	return settings.New(settings.Config{
		Issuer: issuer, Audience: audience,
		HTTPClient: &http.Client{
			Timeout:       10 * time.Second,
			Transport:     &http.Transport{TLSClientConfig: mtls.ClientConfig(w.roots, nil, loopback)},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Observe: func(e settings.Event) {
			w.journal.tell(Event{Who: "settings API", What: "served",
				Text: fmt.Sprintf("%s: %d, %d paths, %d bytes of JSON", e.Method, e.Status, e.Paths, e.Bytes)})
		},
		Logger: w.cfg.Logger.With("part", "settings"),
	})
}

// goodbye is how long a request may still take when its server is stopped. Who
// could have sent one has been stopped before; idle HTTP/2 connections would use
// up a second.
const goodbye = 100 * time.Millisecond

// serveHTTPS serves until ctx ends, then lets what is on its way finish.
func serveHTTPS(ctx context.Context, l net.Listener, h http.Handler, cert mtls.CertificateFunc, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS13,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert() },
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(l, "", "") }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (w *World) startProvider(ctx context.Context, a addresses) error {
	files, err := w.serverFiles(ctx, mtls.RoleServer, "provider")
	if err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	if w.provider, err = w.newProvider(w.issuer, a.settingsURL()); err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	w.begin("provider", func(ctx context.Context) error {
		return serveHTTPS(ctx, a.provider, w.provider, files.Certificate, w.cfg.Logger.With("part", "provider"))
	})
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

func (w *World) startSettings(ctx context.Context, a addresses) error {
	files, err := w.serverFiles(ctx, mtls.RoleServer, "settings")
	if err != nil {
		return fmt.Errorf("settings API: %w", err)
	}
	api, err := w.newSettings(w.issuer, a.settingsURL())
	if err != nil {
		return fmt.Errorf("settings API: %w", err)
	}
	w.begin("settings API", func(ctx context.Context) error {
		return serveHTTPS(ctx, a.settings, api, files.Certificate, w.cfg.Logger.With("part", "settings"))
	})
	return nil
}
