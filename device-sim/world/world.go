// Package world is Carillon on one machine: an authority, a broker, a bridge,
// an OpenID provider, a settings API, cars and phones, each the part that is
// deployed elsewhere too, wired together over the loopback interface as an
// operator would wire them: every certificate is enrolled with a one-time token
// at the authority's own API, the bridge reads a configuration file, the cars
// know nothing but addresses and roots.
//
//	w, err := world.Start(ctx, world.Config{Observe: func(e world.Event) { fmt.Println(e.Who, e.Text) }})
//	defer w.Close()
//	w.Car("blue").Ask(ctx, world.Ask{Hint: "anna@example.com", Scope: "seat"})
//
// A world owns every goroutine, listener, process and file that it begins, and
// Close ends and removes them all.
package world

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/device-sim/world/wiretap"
	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// loopback is where everything listens.
const loopback = "127.0.0.1"

// startTimeout bounds the wait for the first connections.
const startTimeout = 15 * time.Second

// CarNames returns the names of the cars: blue and red.
func CarNames() []string { return []string{"blue", "red"} }

// Config says what world to build. The zero value is usable.
type Config struct {
	// Dir keeps certificates, keys, state and logs. It must be empty or missing,
	// and is kept. Empty means a temporary directory that Close removes.
	Dir string
	// Interval is how often the provider lets itself be polled, in whole seconds.
	// Zero means one.
	Interval time.Duration
	// TokenLife is how long access tokens live, in whole seconds. Zero means the
	// provider's own choice.
	TokenLife time.Duration
	// SessionLife is how long people may stay signed in on cars without being rung
	// again, at least a minute. Zero means for one token.
	SessionLife time.Duration
	// BridgeProcess runs the bridge as a process of its own, so that it can be
	// killed; the program must be a child of program.All first. False runs it in this
	// process.
	BridgeProcess bool
	// Clocks are cars' own clocks, by name. A car that is missing has the
	// machine's.
	Clocks map[string]func() time.Time
	// Overhear wraps the provider as the bridge and the phones reach it, for somebody
	// who wants to hear what they say to each other. Nil leaves it as it is.
	Overhear func(provider http.Handler) http.Handler
	// Observe is told what happens, in order and one at a time. It must not call
	// the world. Nil tells nobody.
	Observe func(Event)
	// Logger hears what the parts log. Nil writes it to world.log in Dir.
	Logger *slog.Logger
}

// A World is up between Start and Close. All methods may be called concurrently.
type World struct {
	cfg     Config
	dir     string
	remove  bool // dir, at the end
	log     *os.File
	journal *journal
	secret  string // the bridge's, at the provider

	authority    *pki.Authority
	authorityURL string
	roots        *x509.CertPool
	issuer       string // of tokens: the provider's URL
	broker       *brokerPart
	bridge       *bridgePart
	provider     *provider.Provider
	providerCert mtls.CertificateFunc
	people       []*Person
	cars         []*Car

	mu           sync.Mutex // guards the fields below
	providerPart *part      // its HTTP server
	parts        []*part    // in the order of their beginning
	count        map[provider.EventKind]int
	failure      error
	failed       chan struct{} // closed when failure is set
	closed       bool
}

// Car returns the car of a name of CarNames.
func (w *World) Car(name string) *Car {
	i := slices.IndexFunc(w.cars, func(c *Car) bool { return c.Name == name })
	return w.cars[i]
}

// People returns everybody who has a phone.
func (w *World) People() []*Person { return slices.Clone(w.people) }

// Person returns somebody by Key, nil if there is nobody.
func (w *World) Person(key string) *Person {
	for _, p := range w.people {
		if p.Key() == key {
			return p
		}
	}
	return nil
}

// Radio is the bytes of MQTT that all cars have carried.
func (w *World) Radio() wiretap.Count {
	var sum wiretap.Count
	for _, c := range w.cars {
		n := c.Tap.Count()
		sum.Up, sum.Down = sum.Up+n.Up, sum.Down+n.Down
	}
	return sum
}

// Pushes is how many requests the provider has accepted for all people.
func (w *World) Pushes() int {
	n := 0
	for _, p := range w.people {
		n += p.Rings()
	}
	return n
}

// ProviderCount is how often something has happened at the provider.
func (w *World) ProviderCount(k provider.EventKind) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count[k]
}

// Close ends everything, the latest part first, and removes a temporary
// directory. It may be called more than once.
func (w *World) Close() error {
	w.mu.Lock()
	again, parts := w.closed, slices.Clone(w.parts)
	w.closed = true
	w.mu.Unlock()
	if again {
		return nil
	}
	w.journal.hush()
	var errs []error
	for _, p := range slices.Backward(parts) {
		errs = append(errs, p.stop())
	}
	for _, c := range w.cars {
		if c != nil { // one that could be built
			errs = append(errs, c.close())
		}
	}
	if w.authority != nil {
		errs = append(errs, w.authority.Close())
	}
	if w.bridge != nil {
		errs = append(errs, w.bridge.output.Close())
	}
	if w.log != nil {
		errs = append(errs, w.log.Close())
	}
	if w.remove {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}
