package enroll

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// look is how often the clock is compared with the certificate, at least. A
	// single timer would be late by the time a vehicle spends suspended.
	look = time.Hour
	// minBackoff and maxBackoff bound the pause after a failed renewal. A
	// refusal waits the longest at once: nothing but an operator changes it.
	minBackoff = 10 * time.Second
	maxBackoff = time.Hour
)

// Renewer keeps one certificate alive: it renews at two thirds of its life, up
// to a twentieth of the life earlier at random, so that a fleet enrolled in one
// night does not renew in one minute. Its exported fields must be set before
// Run and not change after.
type Renewer struct {
	// Client is the authority's. Required.
	Client *Client
	// Certificate returns the current certificate with its key, such as
	// (*mtls.Files).Certificate. It is asked before each renewal. Required.
	Certificate func() (*tls.Certificate, error)
	// Store keeps the new chain, such as (*mtls.Files).Store; the key passed is
	// nil, because it stays. The renewal is done when Store returns nil; after
	// an error the same chain is offered again. Required.
	Store func(key crypto.Signer, chain []*x509.Certificate) error
	// Renewed is told after each renewal that was stored. Nil means nobody.
	Renewed func(chain []*x509.Certificate)
	// Logger hears about renewals and failures. Nil means slog.Default().
	Logger *slog.Logger

	// Owned by Run.
	spread   float64             // the part of the life by which this certificate is renewed earlier
	spreadOf *x509.Certificate   // the certificate that spread was drawn for
	unstored []*x509.Certificate // a chain that was obtained but not stored yet
	last     time.Time           // of the last renewal, with its monotonic reading; zero before the first

	mu     sync.Mutex    // guards status, for an instant
	status RenewalStatus // what Status returns
}

// RenewalStatus says how the renewal of a certificate stands.
type RenewalStatus struct {
	NotAfter time.Time // of the current certificate; zero before Run has seen one
	Due      time.Time // when it will be renewed
	Renewals int       // since Run began
	Err      error     // of the last attempt, nil if it succeeded
}

// Status returns the state of the renewal. It may be called at any time.
func (r *Renewer) Status() RenewalStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Run renews until ctx ends, and returns nil then. No failure ends it: the
// authority may be down for weeks, and may accept an expired certificate again.
func (r *Renewer) Run(ctx context.Context) error {
	if r.Client == nil || r.Certificate == nil || r.Store == nil {
		return errors.New("renewer: Client, Certificate and Store are required")
	}
	if r.Logger == nil {
		r.Logger = slog.Default()
	}
	var backoff time.Duration
	for {
		wait, err := r.step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			backoff = nextBackoff(backoff, err)
			wait = backoff - rand.N(backoff/4)
			r.Logger.Warn("certificate not renewed", "error", err, "not_after", r.Status().NotAfter, "again_in", wait.Round(time.Second))
		} else {
			backoff = 0
		}
		r.note(func(s *RenewalStatus) { s.Err = err })
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// step renews if it is time to, and says how long to wait for the next step.
func (r *Renewer) step(ctx context.Context) (time.Duration, error) {
	cert, err := r.Certificate()
	if err != nil {
		return 0, err
	}
	leaf := cert.Leaf
	if leaf == nil {
		return 0, errors.New("renewer: the certificate has no leaf")
	}
	if r.unstored == nil {
		if wait := r.untilDue(leaf); wait > 0 {
			return min(wait, look), nil
		}
		if r.unstored, err = r.renew(ctx, cert); err != nil {
			return 0, err
		}
	}
	if err := r.Store(nil, r.unstored); err != nil {
		return 0, fmt.Errorf("storing the renewed certificate: %w", err)
	}
	chain := r.unstored
	r.unstored, r.last = nil, time.Now()
	r.note(func(s *RenewalStatus) { s.Renewals++ })
	r.Logger.Info("certificate renewed", "subject", chain[0].Subject.CommonName,
		"serial", fmt.Sprintf("%x", chain[0].SerialNumber), "not_after", chain[0].NotAfter)
	if r.Renewed != nil {
		r.Renewed(chain)
	}
	return min(r.untilDue(chain[0]), look), nil
}

func (r *Renewer) renew(ctx context.Context, cert *tls.Certificate) ([]*x509.Certificate, error) {
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("renewer: a key of type %T cannot sign", cert.PrivateKey)
	}
	chain := []*x509.Certificate{cert.Leaf}
	for _, der := range cert.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("renewer: chain: %w", err)
		}
		chain = append(chain, c)
	}
	return r.Client.Renew(ctx, chain, key)
}

// untilDue is the time until leaf should be renewed, by the client's clock.
func (r *Renewer) untilDue(leaf *x509.Certificate) time.Duration {
	if r.spreadOf != leaf {
		r.spreadOf, r.spread = leaf, rand.Float64()/20
	}
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	due := leaf.NotBefore.Add(life*2/3 - time.Duration(r.spread*float64(life)))
	r.note(func(s *RenewalStatus) { s.NotAfter, s.Due = leaf.NotAfter, due })
	wait := due.Sub(r.Client.now())
	if !r.last.IsZero() {
		// A clock that is years ahead would find each new certificate expired.
		wait = max(wait, life/4-time.Since(r.last))
	}
	return wait
}

func (r *Renewer) note(change func(*RenewalStatus)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.status)
}

func nextBackoff(last time.Duration, err error) time.Duration {
	var refused *StatusError
	if errors.As(err, &refused) && refused.Refused() {
		return maxBackoff
	}
	return min(max(2*last, minBackoff), maxBackoff)
}
