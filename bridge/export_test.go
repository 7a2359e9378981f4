package bridge

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// VerifySender judges the chain of a hello.
func VerifySender(roots *x509.CertPool, d schemas.DeviceID, chain []*x509.Certificate, now time.Time) error {
	_, err := newSenders(Config{Devices: roots}).verify(d, chain, now)
	return err
}

// WithFailpoint has step called with the name of each step that the bridge
// takes.
func (c Config) WithFailpoint(step func(string)) Config {
	c.failpoint = step
	return c
}

// Steps are the names of all steps, in order.
func Steps() []string {
	return []string{stepAccepted, stepRinging, stepRung, stepWaiting, stepClaimed, stepPolled, stepPinged, stepPushed, stepAnswered, stepReceipted}
}

// RenewalSteps are those that only a renewal takes.
func RenewalSteps() []string { return []string{stepRenewing, stepRefreshed} }

// The times that tests wait for.
const (
	RingLease    = ringLease
	PollLease    = pollLease
	RenewLease   = renewLease
	RenewTimeout = renewTimeout
	RefusalLife  = refusalLife
	CallTimeout  = callTimeout
	DrainTime    = drainTime
)

var (
	GrantedScope = grantedScope
	CleanName    = clean
)

// FillDetails fills a template in for a till, which has no seat.
func FillDetails(t *DetailsTemplate) []json.RawMessage {
	return t.fill(attempt{Start: store.Start{Key: store.Key{Device: "till-1"}}, about: about{Device: schemas.Till.String()}})
}

// Tidy is what the bridge does every ten seconds.
func (b *Bridge) Tidy(ctx context.Context) error { return b.tidy(ctx) }

// Veil is the handler of a bridge's log.
func Veil(h slog.Handler, name func(schemas.DeviceID) string) slog.Handler { return veil{h, name} }
