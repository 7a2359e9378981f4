// Package ops answers those who watch a bridge over plain HTTP: orchestrators
// that ask whether it lives and whether it is of use, and Prometheus.
package ops

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Patience is how long a check may take before it counts as failed.
const Patience = 2 * time.Second

// Config says what is answered.
type Config struct {
	// Live are the checks of /healthz: where one fails, the process should be
	// started anew.
	Live []Check
	// Ready are the checks of /readyz besides those: where one fails, the bridge
	// is of no use now, and may be later.
	Ready []Check
	// Metrics are gathered for /metrics. Required.
	Metrics prometheus.Gatherer
}

// A Check is something that has to hold.
type Check struct {
	// Name is one word.
	Name string
	// Probe returns nil, or what is wrong, in words for an operator: whoever
	// reaches the listener reads them. It is not called again before it has
	// returned.
	Probe func(context.Context) error
}

// Handler answers GET /healthz and GET /readyz with 200 and "ok", or with 503 and
// a line for each check that fails, or with ?verbose a line for each check; and
// GET /metrics in a format of Prometheus.
func Handler(cfg Config) http.Handler {
	live, ready := probes(cfg.Live), probes(cfg.Ready)
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", answer(live))
	mux.Handle("GET /readyz", answer(append(live[:len(live):len(live)], ready...)))
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{}))
	return mux
}

func probes(checks []Check) (all []*probe) {
	for _, c := range checks {
		all = append(all, &probe{Check: c})
	}
	return all
}

func answer(probes []*probe) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		errs := make([]error, len(probes))
		var wg sync.WaitGroup
		for i, p := range probes {
			wg.Go(func() { errs[i] = p.ask(r.Context()) })
		}
		wg.Wait()
		verbose := r.URL.Query().Has("verbose")
		status, body := http.StatusOK, new(strings.Builder)
		for i, p := range probes {
			switch {
			case errs[i] != nil:
				status = http.StatusServiceUnavailable
				fmt.Fprintf(body, "%s: %v\n", p.Name, errs[i])
			case verbose:
				fmt.Fprintf(body, "%s: ok\n", p.Name)
			}
		}
		if body.Len() == 0 {
			body.WriteString("ok\n")
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body.String())
	}
}

// A probe asks a check at most once at a time: one that hangs, such as a
// database whose disk does, holds one goroutine, however often somebody asks.
type probe struct {
	Check

	mu   sync.Mutex // guards last
	last *asking    // nil if the check is not being made
}

// An asking is one run of a check.
type asking struct {
	since time.Time
	done  chan struct{} // closed after err is set
	err   error
}

// ask returns what the check says, or that it has not said anything.
func (p *probe) ask(ctx context.Context) error {
	a := p.begin()
	late := time.NewTimer(Patience)
	defer late.Stop()
	select {
	case <-a.done:
		return a.err
	case <-late.C:
		return fmt.Errorf("no answer for %v", time.Since(a.since).Round(time.Second))
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *probe) begin() *asking {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil {
		return p.last
	}
	a := &asking{since: time.Now(), done: make(chan struct{})}
	p.last = a
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		a.err = p.Probe(ctx)
		p.mu.Lock()
		p.last = nil
		p.mu.Unlock()
		close(a.done)
	}()
	return a
}

// Server returns a server that nobody can hold on to: each connection costs the
// bridge a descriptor.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:        h,
		ReadTimeout:    5 * time.Second,
		WriteTimeout:   10 * time.Second,
		IdleTimeout:    30 * time.Second,
		MaxHeaderBytes: 8 << 10,
	}
}
