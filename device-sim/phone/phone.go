// Package phone is the phone of one person: it learns of sign-in requests from
// the provider, shows each to a decision function once, and sends the decision
// back.
//
//	p, err := phone.New(phone.Config{Provider: op, Subject: anna, Decide: phone.Approve})
//	err = p.Run(ctx) // until ctx ends
//
// A decision function can be a rule, as those of this package are, a scenario's
// script, or a person at a terminal; it is handed a context that ends when there
// is nothing left to decide.
package phone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

// Provider is the side of an OpenID provider that phones talk to; a
// *provider.Provider is one.
type Provider interface {
	// Watch calls ring for each undecided request of a person, once, until ctx ends.
	Watch(ctx context.Context, subject string, ring func(provider.Request)) error
	Approve(ctx context.Context, id string, a provider.Approval) error
	Deny(ctx context.Context, id string) error
}

var _ Provider = (*provider.Provider)(nil)

// Verdict is what a person does with a request.
type Verdict int

// The verdicts. The zero Verdict ignores.
const (
	Ignored Verdict = iota // left alone until it lapses
	Approved
	Denied
)

// String returns the verdict in lower case.
func (v Verdict) String() string {
	switch v {
	case Ignored:
		return "ignored"
	case Approved:
		return "approved"
	case Denied:
		return "denied"
	}
	return fmt.Sprintf("verdict(%d)", int(v))
}

// Decision is a verdict with what was agreed to.
type Decision struct {
	Verdict Verdict
	// Approval is used with Approved. Its zero value agrees to all that was
	// asked for.
	Approval provider.Approval
}

// DecideFunc decides one request. It may take as long as it likes: ctx ends
// when the request lapses, was decided on another phone, or the phone stops,
// and what the function returns after that is not used. It is called
// concurrently for different requests.
type DecideFunc func(ctx context.Context, r provider.Request) Decision

// Approve agrees to everything at once.
func Approve(context.Context, provider.Request) Decision { return Decision{Verdict: Approved} }

// Deny refuses everything at once.
func Deny(context.Context, provider.Request) Decision { return Decision{Verdict: Denied} }

// Ignore leaves every request alone.
func Ignore(context.Context, provider.Request) Decision { return Decision{} }

// After lets the phone lie for a while before decide is asked.
func After(delay time.Duration, decide DecideFunc) DecideFunc {
	return func(ctx context.Context, r provider.Request) Decision {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
			return decide(ctx, r)
		case <-ctx.Done():
			return Decision{}
		}
	}
}

// Config says whose phone it is.
type Config struct {
	// Provider to watch. Required.
	Provider Provider
	// Subject of the person. Required.
	Subject string
	// Decide answers requests. Nil means Ignore.
	Decide DecideFunc
	// OnShow is told of each request as it appears on the screen, before
	// Decide is asked. Nil means nobody is told.
	OnShow func(provider.Request)
	// OnDone is told how each request ended on this phone: the decision, and
	// an error if the provider did not take it. A request that lapsed or was
	// decided elsewhere ends as Ignored. Nil means nobody is told.
	OnDone func(provider.Request, Decision, error)
	// Logger gets decisions that the provider refused. Nil discards.
	Logger *slog.Logger
}

// Phone is one person's phone. Make it with New.
type Phone struct {
	cfg Config

	mu      sync.Mutex // guards what follows
	started bool
	shown   map[string]int // by request id
	total   int
}

// New returns a phone that is switched off until Run.
func New(cfg Config) (*Phone, error) {
	if cfg.Provider == nil {
		return nil, errors.New("provider is nil")
	}
	if cfg.Subject == "" {
		return nil, errors.New("subject is empty")
	}
	if cfg.Decide == nil {
		cfg.Decide = Ignore
	}
	if cfg.OnShow == nil {
		cfg.OnShow = func(provider.Request) {}
	}
	if cfg.OnDone == nil {
		cfg.OnDone = func(provider.Request, Decision, error) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Phone{cfg: cfg, shown: map[string]int{}}, nil
}

// Run shows requests until ctx ends, waits for decisions under way, and returns
// ctx's error, or at once the provider's if it does not know the person. It can
// be called once; a phone that is switched on again is a new Phone.
func (p *Phone) Run(ctx context.Context) error {
	p.mu.Lock()
	again := p.started
	p.started = true
	p.mu.Unlock()
	if again {
		return errors.New("phone: Run was called before")
	}
	var deciding sync.WaitGroup
	defer deciding.Wait()
	return p.cfg.Provider.Watch(ctx, p.cfg.Subject, func(r provider.Request) {
		if !p.show(r) {
			return
		}
		deciding.Go(func() { p.decide(ctx, r) })
	})
}

// maxShown bounds the requests that are counted one by one.
const maxShown = 10_000

// show counts a request and reports whether it is new on this phone.
func (p *Phone) show(r provider.Request) bool {
	p.mu.Lock()
	p.shown[r.ID]++
	p.total++
	first := p.shown[r.ID] == 1
	if len(p.shown) > maxShown {
		p.shown = map[string]int{r.ID: p.shown[r.ID]}
	}
	p.mu.Unlock()
	if first {
		p.cfg.OnShow(r)
	}
	return first
}

func (p *Phone) decide(ctx context.Context, r provider.Request) {
	ctx, cancel := context.WithDeadline(ctx, r.ExpiresAt)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-r.Decided():
			cancel()
		case <-stop:
		}
	}()
	d := p.cfg.Decide(ctx, r)
	if ctx.Err() != nil {
		d = Decision{}
	}
	err := p.send(ctx, r.ID, d)
	if err != nil {
		p.cfg.Logger.Warn("decision not taken", "request", r.ID, "verdict", d.Verdict.String(), "error", err)
	}
	p.cfg.OnDone(r, d, err)
}

func (p *Phone) send(ctx context.Context, id string, d Decision) error {
	switch d.Verdict {
	case Approved:
		return p.cfg.Provider.Approve(ctx, id, d.Approval)
	case Denied:
		return p.cfg.Provider.Deny(ctx, id)
	case Ignored:
		return nil
	}
	return fmt.Errorf("decision has unknown %v", d.Verdict)
}

// Rings says how often the phone was told of the request with this id. It is 1
// for every request shown, whatever goes wrong.
func (p *Phone) Rings(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown[id]
}

// Total says how often the phone was told of a request since it was made: the
// pushes that a person counts.
func (p *Phone) Total() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}
