package mtls

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"sync"
	"time"
)

// RevocationConfig configures a [RevocationList].
type RevocationConfig struct {
	// Source fetches the current list, DER-encoded (RFC 5280 section 5), such
	// as the authority's /crl. Required.
	Source func(ctx context.Context) ([]byte, error)
	// Issuers are the certificates that may sign a list: those right above the
	// leaves to be judged, normally the authority's intermediate. While an
	// intermediate is being replaced, both. Required.
	Issuers []*x509.Certificate
	// Every is the time between two fetches, shortened by up to a tenth at
	// random. Zero means one minute.
	Every time.Duration
	// OnChange is called after a list that revokes anything new has been taken
	// up, so that a server can end the connections of the revoked. It is called
	// by the goroutine that refreshes. Nil means nobody.
	OnChange func()
	// Logger hears about lists that cannot be fetched or are not accepted. Nil
	// means slog.Default().
	Logger *slog.Logger
}

// fetchTimeout bounds one call of the source.
const fetchTimeout = 30 * time.Second

// RevocationList knows which certificates their authority has revoked. The last
// good list stays in force when the authority cannot be reached; [Status] says
// how old it is, and whether that is acceptable is for the operator to decide.
type RevocationList struct {
	cfg RevocationConfig

	refreshing sync.Mutex // held during a fetch: one at a time, so that an older list cannot overtake a newer one

	mu      sync.RWMutex
	lists   map[int]*revocations // guarded by mu; by index into cfg.Issuers
	fetched time.Time            // guarded by mu; when the last good list came, zero for never
	failure error                // guarded by mu; of the last fetch, nil if it succeeded
}

// NewRevocationList returns a list that is empty until the first [Refresh]; Run
// begins with one.
func NewRevocationList(cfg RevocationConfig) (*RevocationList, error) {
	if cfg.Source == nil {
		return nil, errors.New("revocation list: no source given")
	}
	if len(cfg.Issuers) == 0 {
		return nil, errors.New("revocation list: no issuer given, so no list could be verified")
	}
	if cfg.Every < 0 {
		return nil, fmt.Errorf("revocation list: interval %v is negative", cfg.Every)
	}
	if cfg.Every == 0 {
		cfg.Every = time.Minute
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &RevocationList{cfg: cfg, lists: make(map[int]*revocations)}, nil
}

// Run refreshes the list at once and then at every interval, until ctx ends;
// it returns nil then. A failed refresh is logged and never ends the loop.
func (l *RevocationList) Run(ctx context.Context) error {
	for {
		l.refreshAndLog(ctx)
		wait := l.cfg.Every - rand.N(l.cfg.Every/10+1)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// refreshAndLog says so when refreshing begins to fail and when it works again,
// and not each time between.
func (l *RevocationList) refreshAndLog(ctx context.Context) {
	before := l.Status()
	err := l.Refresh(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil && (before.Err == nil || before.Err.Error() != err.Error()):
		if !before.Loaded() {
			l.cfg.Logger.Warn("cannot fetch the revocation list, and there has been none yet: revoked certificates are accepted", "error", err)
			return
		}
		l.cfg.Logger.Warn("cannot refresh the revocation list, the last good one stays in force",
			"error", err, "fetched", before.Fetched, "next_update", before.NextUpdate)
	case err == nil && before.Err != nil:
		l.cfg.Logger.Info("revocation list refreshed again", "entries", l.Status().Entries)
	}
}

// Refresh fetches the list now. On any error the last good list stays in force.
// A list that was signed by none of the issuers, is older than the one in
// force, or says something this package does not understand, is an error.
func (l *RevocationList) Refresh(ctx context.Context) error {
	l.refreshing.Lock()
	defer l.refreshing.Unlock()
	changed, err := l.refresh(ctx)
	l.mu.Lock()
	l.failure = err
	if err == nil {
		l.fetched = time.Now()
	}
	l.mu.Unlock()
	if changed && l.cfg.OnChange != nil {
		l.cfg.OnChange()
	}
	return err
}

func (l *RevocationList) refresh(ctx context.Context) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	der, err := l.cfg.Source(ctx)
	if err != nil {
		return false, err // a source says what it was doing
	}
	issuer, next, err := parseRevocations(der, l.cfg.Issuers)
	if err != nil {
		return false, fmt.Errorf("revocation list: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.lists[issuer]
	if err := next.mayReplace(last); err != nil {
		return false, fmt.Errorf("revocation list: %w", err)
	}
	l.lists[issuer] = next
	return next.revokesMoreThan(last), nil
}

// Revoked reports whether cert is on the list of its issuer. It reports false
// for certificates of other issuers and before the first list has come.
func (l *RevocationList) Revoked(cert *x509.Certificate) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for i, issuer := range l.cfg.Issuers {
		if list := l.lists[i]; list != nil && issued(issuer, cert) && list.has(cert.SerialNumber) {
			return true
		}
	}
	return false
}

// RevocationStatus says what a [RevocationList] knows and since when.
type RevocationStatus struct {
	Entries    int       // revoked certificates, over all issuers
	Number     *big.Int  // the CRL number of the newest list, nil before the first
	ThisUpdate time.Time // when the newest list was made, by the authority's clock
	NextUpdate time.Time // when the authority promised a newer one; zero if it did not
	Fetched    time.Time // when a list last came, by this machine's clock; zero for never
	Err        error     // of the last refresh, nil if it succeeded
}

// Loaded reports whether there has been any list yet.
func (s RevocationStatus) Loaded() bool { return !s.Fetched.IsZero() }

// Stale reports whether the list is past the time at which the authority
// promised a newer one, or is missing.
func (s RevocationStatus) Stale(now time.Time) bool {
	return !s.Loaded() || (!s.NextUpdate.IsZero() && now.After(s.NextUpdate))
}

// Age is the time since a list last came; it is negative for never.
func (s RevocationStatus) Age(now time.Time) time.Duration {
	if !s.Loaded() {
		return -1
	}
	return now.Sub(s.Fetched)
}

// Status returns the state of the list.
func (l *RevocationList) Status() RevocationStatus {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := RevocationStatus{Fetched: l.fetched, Err: l.failure}
	for _, list := range l.lists {
		s.Entries += len(list.serials)
		if !list.thisUpdate.Before(s.ThisUpdate) {
			s.Number, s.ThisUpdate, s.NextUpdate = list.number, list.thisUpdate, list.nextUpdate
		}
	}
	return s
}
