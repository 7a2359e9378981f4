package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba"
)

// reloads reads files again each time somebody asks for it, until ctx is done.
// Certificates need not be asked for: they are read whenever they have changed.
func (s *settings) reloads(ctx context.Context, asked <-chan os.Signal, p *parts, b *bridge.Bridge, log *slog.Logger) {
	for {
		select {
		case <-asked:
			s.reload(p, b, log)
		case <-ctx.Done():
			return
		}
	}
}

// reload takes up the files that can be used, and goes on with what it had in
// the place of the others.
func (s *settings) reload(p *parts, b *bridge.Bridge, log *slog.Logger) {
	for _, r := range []struct {
		what string
		take func() error
	}{
		{"client credentials", func() error { return p.auth.reload(&s.client) }},
		{"seal-key", func() error { return s.reloadSealKeys(b) }},
	} {
		if err := r.take(); err != nil {
			log.Error("cannot reload, going on with the last one", "what", r.what, "error", err)
			continue
		}
		log.Info("reloaded", "what", r.what)
	}
}

func (s *settings) reloadSealKeys(b *bridge.Bridge) error {
	source := s.sealKeys()
	if source == "" { // it is the state's own
		return nil
	}
	data, err := s.readKeys(source)
	if err != nil {
		return fmt.Errorf("--seal-key: %w", err)
	}
	keys, err := parseSealKeys(data)
	if err != nil {
		return fmt.Errorf("--seal-key: %q: %w", source, err)
	}
	return b.SetSealKeys(keys)
}

// A clientAuth authenticates with what it has read last. Its method never
// changes.
type clientAuth struct {
	last atomic.Pointer[ciba.Authenticator]
}

func newClientAuth(auth ciba.Authenticator) *clientAuth {
	c := new(clientAuth)
	c.last.Store(&auth)
	return c
}

// Method implements [ciba.Authenticator].
func (c *clientAuth) Method() string { return (*c.last.Load()).Method() }

// Authenticate implements [ciba.Authenticator].
func (c *clientAuth) Authenticate(id ciba.Identity, form url.Values, header http.Header) error {
	return (*c.last.Load()).Authenticate(id, form, header)
}

// reload reads the secret or the key again.
func (c *clientAuth) reload(s *clientSettings) error {
	auth, err := s.authenticator()
	if err != nil {
		return err
	}
	c.last.Store(&auth)
	return nil
}
