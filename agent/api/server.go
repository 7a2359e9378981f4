// Package api is the agent's local interface: HTTP and JSON on a unix socket,
// with server-sent events for the screen. The screen, a till's software and
// carillon-agent's own commands use it.
//
// schemas/agent-api.yaml describes it to machines, docs/agent.md to people.
//
// # Who may
//
// The socket has mode 0660, so its group decides who can connect; besides, the
// kernel is asked who the caller is (SO_PEERCRED), and only the configured user
// ids are served. There is no other authentication, and no other network.
//
// # What it never says
//
// Tokens do not leave the agent this way.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/agent"
)

// Bounds of what one caller can ask for.
const (
	maxBody     = 8 << 10 // bytes of a request's body
	maxHeader   = 16 << 10
	maxConns    = 64
	maxWatchers = 16
	answerTime  = 15 * time.Second // for one request, and for one event
	drainTime   = 3 * time.Second
)

// Config says whom a server serves with what.
type Config struct {
	// Agent does the work. Required.
	Agent *agent.Agent
	// UIDs are the user ids that are served. Nil means the agent's own and
	// root; empty means nobody.
	UIDs []int
	// Logger hears about refused callers. Nil means slog.Default().
	Logger *slog.Logger
}

// A Server serves the interface of one agent.
type Server struct {
	agent    *agent.Agent
	uids     []int
	log      *slog.Logger
	watchers chan struct{} // holds one token for each stream of events
	handler  http.Handler
}

// New returns a server that does nothing until Serve.
func New(cfg Config) (*Server, error) {
	if cfg.Agent == nil {
		return nil, errors.New("agent api: no Agent given")
	}
	if cfg.UIDs == nil {
		cfg.UIDs = []int{os.Getuid(), 0}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Server{agent: cfg.Agent, uids: cfg.UIDs, log: cfg.Logger, watchers: make(chan struct{}, maxWatchers)}
	s.handler = s.routes()
	return s, nil
}

// route is one operation.
type route struct {
	method, path string
	serve        func(s *Server, w http.ResponseWriter, r *http.Request)
}

// table is every operation, as schemas/agent-api.yaml describes them.
func table() []route {
	return []route{
		{http.MethodPost, "/v1/sign-ins", (*Server).postSignIn},
		{http.MethodGet, "/v1/sign-ins/{id}", (*Server).getSignIn},
		{http.MethodDelete, "/v1/sign-ins/{id}", (*Server).deleteSignIn},
		{http.MethodPost, "/v1/sign-out", (*Server).postSignOut},
		{http.MethodGet, "/v1/status", (*Server).getStatus},
		{http.MethodGet, "/v1/events", (*Server).getEvents},
	}
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	allowed := map[string][]string{}
	for _, r := range table() {
		mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, req *http.Request) { r.serve(s, w, req) })
		allowed[r.path] = append(allowed[r.path], r.method)
	}
	for path, methods := range allowed {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			fail(w, problem(http.StatusMethodNotAllowed, "method-not-allowed", "allowed here: "+strings.Join(methods, ", ")))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, problem(http.StatusNotFound, "not-found", fmt.Sprintf("there is nothing at %.80q", r.URL.Path)))
	})
	return mux
}

// peerKey is the context key of the caller's user id.
type peerKey struct{}

// Serve serves what comes to the listener until ctx ends, gives requests under
// way a moment to end, and returns nil. The listener is closed in any case. A
// listener that fails is the only other end.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	srv := &http.Server{
		Handler:           http.HandlerFunc(s.admit),
		BaseContext:       func(net.Listener) context.Context { return ctx }, // ends the streams of events
		ConnContext:       s.identify,
		ReadHeaderTimeout: answerTime,
		ReadTimeout:       answerTime,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		drain, done := context.WithTimeout(context.Background(), drainTime)
		defer done()
		if srv.Shutdown(drain) != nil {
			srv.Close()
		}
	}()
	err := srv.Serve(&bounded{Listener: l, slots: make(chan struct{}, maxConns)})
	cancel()
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("agent api: %w", err)
}

// identify notes who is at the other end of a connection.
func (s *Server) identify(ctx context.Context, c net.Conn) context.Context {
	if b, ok := c.(*slotConn); ok {
		c = b.Conn
	}
	uid, err := peerUID(c)
	if err != nil {
		s.log.Warn("cannot tell who is calling", "error", err)
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, uid)
}

// admit serves those who may.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) {
	uid, known := r.Context().Value(peerKey{}).(int)
	if !known || !slices.Contains(s.uids, uid) {
		s.log.Warn("a caller is refused", "uid", uid, "known", known)
		fail(w, problem(http.StatusForbidden, "forbidden", fmt.Sprintf("user id %d may not use this agent", uid)))
		return
	}
	s.handler.ServeHTTP(w, r)
}
