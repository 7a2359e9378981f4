package world

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/carillon-iot/carillon/device-sim/settings"
	"github.com/carillon-iot/carillon/pki/mtls"
)

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
