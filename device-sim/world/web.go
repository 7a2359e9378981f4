package world

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/carillon-iot/carillon/device-sim/serve"
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
		return serve.HTTPS(ctx, a.settings, api, files.Certificate, w.cfg.Logger.With("part", "settings"))
	})
	return nil
}
