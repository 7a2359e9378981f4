package capacity

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
)

// held begins the auth_req_id of a sign-in that waits for ever; a number follows.
const held = "held-"

// serveProvider is the provider's process: args are the address, the certificate's
// file and the key's. People agree at once.
func serveProvider(ctx context.Context, args []string, _, stderr io.Writer) int {
	op := &cibatest.Provider{
		Issuer: "https://" + args[0], AutoApprove: time.Nanosecond, Interval: time.Second, Lifetime: 5 * time.Minute,
	}
	p := &provider{people: op, last: make(map[int]time.Time)}
	s := &http.Server{Addr: args[0], Handler: p, TLSConfig: &tls.Config{NextProtos: []string{"h2", "http/1.1"}}}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	if err := s.ListenAndServeTLS(args[1], args[2]); err != nil && ctx.Err() == nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// A provider answers polls of sign-ins that are held itself, and remembers when
// they came.
type provider struct {
	people http.Handler

	mu    sync.Mutex // guards the rest
	polls int
	last  map[int]time.Time
	gaps  []time.Duration // between two polls of one sign-in
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/polled":
		p.tell(w)
		return
	case "/token":
		// The body is small, and ParseForm leaves nothing of it to the provider.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if _, after, ok := strings.Cut(string(body), "auth_req_id="+held); ok {
			number, _, _ := strings.Cut(after, "&")
			p.hold(w, number)
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	p.people.ServeHTTP(w, r)
}

func (p *provider) hold(w http.ResponseWriter, number string) {
	i, err := strconv.Atoi(number)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	now := time.Now()
	p.mu.Lock()
	p.polls++
	if last, ok := p.last[i]; ok {
		p.gaps = append(p.gaps, now.Sub(last))
	}
	p.last[i] = now
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusBadRequest)
	io.WriteString(w, `{"error":"authorization_pending"}`)
}

// polled is what the provider tells of the sign-ins that it holds.
type polled struct {
	Polls, SignIns int
	Gaps           int           // between two polls of one sign-in
	Median, P99    time.Duration // of them
	Max            time.Duration
}

func (p *provider) tell(w http.ResponseWriter) {
	p.mu.Lock()
	told := polled{Polls: p.polls, SignIns: len(p.last), Gaps: len(p.gaps)}
	gaps := slices.Clone(p.gaps)
	p.mu.Unlock()
	slices.Sort(gaps)
	if n := len(gaps); n > 0 {
		told.Median, told.P99, told.Max = gaps[n/2], gaps[n*99/100], gaps[n-1]
	}
	json.NewEncoder(w).Encode(told)
}
