package program

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carillon-iot/carillon/device-sim/habit"
	"github.com/carillon-iot/carillon/device-sim/phone"
	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/device-sim/serve"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// ProviderConfig is what an OpenID provider in a child process works with, and
// the phones of its people, which live there too.
type ProviderConfig struct {
	Issuer     string // URL
	Listen     string // host:port
	Cert, Key  string // PEM files
	SigningKey string // PEM file with a P-256 key; made by the caller, so that it outlives the process
	Journal    string // file

	ClientID, ClientSecret string
	Scopes                 []provider.Scope
	Resource               string // audience of access tokens
	Interval               time.Duration

	People []provider.Person
	Habit  habit.Habit // of all of them
}

// newProvider makes the provider. The caller closes the journal.
func newProvider(cfg ProviderConfig, j *provider.Journal, log *slog.Logger) (*provider.Provider, error) {
	key, err := (&mtls.Files{KeyFile: cfg.SigningKey}).LoadKey()
	if err != nil {
		return nil, err
	}
	scopes := []string{"profile"}
	for _, s := range cfg.Scopes {
		scopes = append(scopes, s.Name)
	}
	return provider.New(provider.Config{
		Issuer: cfg.Issuer, Key: key, Resource: cfg.Resource, Journal: j,
		Clients: []provider.Client{{ID: cfg.ClientID, Name: "Carillon", Secret: cfg.ClientSecret, Scopes: scopes}},
		People:  cfg.People, Scopes: cfg.Scopes, Interval: cfg.Interval, Logger: log,
	})
}

func serveProvider(ctx context.Context, cfg ProviderConfig, log *slog.Logger) error {
	journal, err := provider.OpenJournal(cfg.Journal)
	if err != nil {
		return err
	}
	defer journal.Close()
	began := time.Now()
	op, err := newProvider(cfg, journal, log)
	if err != nil {
		return err
	}
	log.Info("the journal is read", "took", time.Since(began))
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return err
	}
	files := &mtls.Files{CertFile: cfg.Cert, KeyFile: cfg.Key, Logger: log}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serve.HTTPS(ctx, l, op, files.Certificate, log) })
	for _, who := range cfg.People {
		p, err := phone.New(phone.Config{Provider: op, Subject: who.Subject, Decide: decide(op, cfg.Habit), Logger: log})
		if err != nil {
			return errors.Join(err, l.Close())
		}
		group.Go(func() error {
			if err := p.Run(ctx); !errors.Is(err, ctx.Err()) {
				return fmt.Errorf("phone of %q: %w", who.Subject, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// decide answers a request as its person would. A phone that comes back with a
// restarted provider goes on thinking from where it was.
func decide(op *provider.Provider, h habit.Habit) phone.DecideFunc {
	return func(ctx context.Context, r provider.Request) phone.Decision {
		verdict, delay := h.Answer(r.Subject, op.Rings(r.Subject))
		timer := time.NewTimer(time.Until(r.CreatedAt.Add(delay)))
		defer timer.Stop()
		select {
		case <-timer.C:
			return phone.Decision{Verdict: verdict}
		case <-ctx.Done():
			return phone.Decision{}
		}
	}
}
