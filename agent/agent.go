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
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-iot/carillon/agent/clock"
	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/agent/trust"
	"github.com/carillon-iot/carillon/agent/vehicle"
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
	// Hurry is called when somebody waits and the link is down: at once, and
	// every few seconds. It must not block; *link.Link's Wake is one. Nil leaves
	// the link to itself.
	Hurry func()
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
	// Catalog says what may be written to the vehicle. Nil means
	// vehicle.VSS6; a manufacturer narrows that.
	Catalog *vehicle.Catalog
	// Clock is the device's wall clock, right or wrong. Nil means time.Now.
	Clock func() time.Time
	// Logger hears what happens, never a token, a hint or a key. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// An Agent is one device. All methods may be called concurrently.
type Agent struct {
	cfg      Config
	log      *slog.Logger
	device   schemas.DeviceID
	up, down schemas.Topic
	clock    *clock.Clock

	started atomic.Bool
	stopped chan struct{} // closed when Run has returned
	workers sync.WaitGroup
	status  atomic.Pointer[Status]
	hub     hub

	// Ways into the loop.
	inbox   *queue[[]byte]
	line    line
	calls   chan call
	results chan func()
	// Ways out of it.
	out   *queue[[]byte]
	cabin *cabin // nil where there is no vehicle

	// Owned by the loop; by New before it begins.
	life      context.Context // of Run, for the fetches it begins
	state     state
	dirty     bool // Status is to be renewed
	signer    *schemas.Signer
	bridges   *trust.Bridges // nil before the first welcome
	hello     hello
	connected bool
	changes   uint64    // of the line, seen
	hurry     time.Time // when the link may be told to try again, while it is down
	requests  map[schemas.ID]*request
	live      map[schemas.ID]*live
}

// New checks cfg, loads what the store has, and returns an agent that does
// nothing until Run. Damaged records are logged and left out.
func New(cfg Config) (*Agent, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	a := &Agent{
		cfg: cfg, log: cfg.Logger,
		stopped: make(chan struct{}), calls: make(chan call), results: make(chan func()),
		inbox: newQueue[[]byte](64), out: newQueue[[]byte](64), line: line{wake: make(chan struct{}, 1)},
		requests: map[schemas.ID]*request{}, live: map[schemas.ID]*live{},
		dirty: true,
	}
	if err := a.load(); err != nil {
		return nil, err
	}
	a.publishStatus()
	return a, nil
}

func (c *Config) check() error {
	switch {
	case c.Certificate == nil:
		return errors.New("no Certificate given")
	case c.Roots == nil:
		return errors.New("no Roots given, so no bridge could be believed")
	case c.Publisher == nil:
		return errors.New("no Publisher given")
	case c.Store == nil:
		return errors.New("no Store given")
	}
	if c.Device == 0 {
		c.Device = schemas.Car
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return checkGuest(*c)
}

// identify is called with the id in the certificate.
func (a *Agent) identify(d schemas.DeviceID) {
	a.device, a.up, a.down = d, schemas.UpTopic(d), schemas.DownTopic(d)
}

// Device returns the id that the certificate names.
func (a *Agent) Device() schemas.DeviceID { return a.device }

// DownTopic returns the topic to subscribe.
func (a *Agent) DownTopic() string { return a.down.String() }

// Now is the best guess at the time for judging certificates: never before
// what the agent knows has passed. See mtls.TolerateClock.
func (a *Agent) Now() time.Time { return a.clock.Verify() }

// Time is the best guess at the time for everything else, such as when to renew
// the device's certificate. It may go back.
func (a *Agent) Time() time.Time { return a.clock.Now() }
