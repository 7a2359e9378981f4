// Package agent signs people in on a device without a keyboard.
//
// An [Agent] turns "Anna sits down" into one signed message of under 200 bytes,
// repeats it until a bridge has signed an answer, opens the grant that only
// this device can open, fetches the person's settings with the token and
// applies them to the vehicle. Nothing it relies on is in memory alone: it may
// be killed at any point and continues where it was.
//
// # What ends what
//
// A request ends with an answer that a bridge signed, or, long after anybody
// could still answer, with the outcome "unknown". No error ends [Agent.Run]: a
// message that does not verify, a disk that is full, a provider that is down
// each fail one request or one attempt, and are logged.
//
// # Ownership
//
// One goroutine, Run's, owns all state. What may block has its own: publishing,
// the vehicle, and each fetch of settings. An idle agent has three goroutines
// and no running timer.
package agent

import (
	"context"
	"crypto/x509"
	"log/slog"
	"time"

	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// A Publisher sends one message with QoS 1; *link.Link is one. Nil proves
// nothing, and an error proves nothing either: the agent repeats.
type Publisher interface {
	Publish(ctx context.Context, topic string, payload []byte) error
}

// A Store keeps small records by name; *outbox.Dir and *outbox.Memory are.
// A name is 1 to 64 characters of [a-z0-9-].
type Store interface {
	// Put replaces the record, durably, in one step.
	Put(name string, data []byte) error
	// Delete forgets the record; it is no error if there is none.
	Delete(name string) error
	// Load returns every record.
	Load() (map[string][]byte, error)
}

// A Fetcher fetches a person's settings; *settings.Client is one.
type Fetcher interface {
	Fetch(ctx context.Context, t settings.Token) (settings.Document, error)
}

// Config says what an agent works with. Certificate, Roots, Publisher and
// Store are required.
type Config struct {
	// Certificate is the device's own, with its key. It is asked before
	// messages are signed, so that a renewed one is taken up.
	Certificate mtls.CertificateFunc
	// Roots are the fleet's: who signs for the bridge must chain to them.
	Roots *x509.CertPool
	// Publisher sends what the agent says.
	Publisher Publisher
	// Store keeps what must survive a restart. One agent, one store.
	Store Store

	// Device is what stands in front of the person. Zero means a car.
	Device schemas.DeviceKind
	// Vehicle is what settings are applied to. Nil means none: settings are
	// then not fetched either.
	Vehicle settings.Vehicle
	// Settings fetches them. Nil means none.
	Settings Fetcher
	// Guest is what a seat is set to while nobody is signed in on it, as paths
	// of the driver's seat. Nil restores what was there before, and no more.
	Guest settings.Values
	// Clock is the device's wall clock, right or wrong. Nil means time.Now.
	Clock func() time.Time
	// Logger hears what happens, never a token, a hint or a key. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// An Agent is one device. All methods may be called concurrently.
type Agent struct {
	cfg Config
}

// New checks cfg, loads what the store has, and returns an agent that does
// nothing until Run. Damaged records are logged and left out.
func New(cfg Config) (*Agent, error) { return &Agent{cfg: cfg}, nil }

// Device returns the id that the certificate names.
func (a *Agent) Device() schemas.DeviceID { return "" }

// Run works until ctx ends, and returns nil then. It can be called once.
func (a *Agent) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Handle takes a message that arrived on a topic, for link.Config.Handler. It
// never blocks; the payload must not be changed after.
func (a *Agent) Handle(topic string, payload []byte) {}

// Connected says that the link is up and subscribed, for link.Config.OnUp.
func (a *Agent) Connected() {}

// Disconnected says that the link is down, for link.Config.OnDown.
func (a *Agent) Disconnected(error) {}

// Now is the best guess at the time, for judging certificates: never before
// what the agent knows has passed. See mtls.TolerateClock.
func (a *Agent) Now() time.Time { return time.Now() }

// SignIn begins a sign-in and returns its id as soon as it is stored. What
// becomes of it, Status and Watch say.
func (a *Agent) SignIn(ctx context.Context, r Request) (schemas.ID, error) {
	return schemas.ID{}, ErrStopped
}

// Cancel withdraws a sign-in. It is over for the driver at once, and repeated
// to the bridge until it confirms.
func (a *Agent) Cancel(ctx context.Context, id schemas.ID) error { return ErrStopped }

// SignOut ends sessions here at once: settings restored, tokens forgotten. It
// is repeated to the bridge until it confirms. It returns the ended sessions.
func (a *Agent) SignOut(ctx context.Context, t Target) ([]schemas.ID, error) {
	return nil, ErrStopped
}

// Status returns everything the agent knows. It never blocks.
func (a *Agent) Status() Status { return Status{} }

// Watch returns a channel of events, closed when ctx ends or Run returns. A
// watcher that is too slow loses the oldest events, never the latest.
func (a *Agent) Watch(ctx context.Context) <-chan Event { return nil }
