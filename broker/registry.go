package broker

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// registry knows every open connection: those that have not yet got as far as a
// session, and the one session of each client id.
type registry struct {
	limits Limits
	freed  chan struct{} // holds a token when a pending place may have become free

	mu       sync.Mutex         // guards the fields below, for moments only
	all      map[*conn]struct{} // from admit to leave
	pending  []*conn            // by arrival; each also in all
	sessions map[string]*conn   // by client id; each also in all
	evicted  uint64
	stopped  bool
}

var (
	errFull = errors.New("the limit on connected clients is reached")
	errBusy = errors.New("the previous connection of this identity does not end")
)

// takeover bounds the wait for the previous connection of an identity.
const takeover = 5 * time.Second

func newRegistry(limits Limits) *registry {
	return &registry{
		limits:   limits,
		freed:    make(chan struct{}, 1),
		all:      make(map[*conn]struct{}),
		sessions: make(map[string]*conn),
	}
}

// admit gives a new connection a pending place. It waits for one, but no longer
// than until the oldest holder has had its third of the connect timeout:
// connections that only hold on to their place cannot lock everybody else out.
// Only the goroutine that accepts may call it.
func (r *registry) admit(ctx context.Context, tcp net.Conn) (*conn, error) {
	for {
		c, wait := r.tryAdmit(tcp)
		if c != nil {
			return c, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, errStopping
		case <-r.freed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// tryAdmit returns the connection, or how long to wait at most.
func (r *registry) tryAdmit(tcp net.Conn) (*conn, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending) >= r.limits.MaxPending {
		oldest := r.pending[0]
		if wait := r.limits.ConnectTimeout/3 - time.Since(oldest.since); wait > 0 {
			return nil, wait
		}
		r.pending = r.pending[1:]
		r.evicted++
		oldest.end(errEvicted)
	}
	c := newConn(tcp)
	r.all[c] = struct{}{}
	r.pending = append(r.pending, c)
	if r.stopped {
		c.end(errStopping)
	}
	return c, 0
}

// claim makes c the session of its client id. A connection that already is
// must be gone entirely before: the library would otherwise, while it clears up
// after the old one, remove the subscriptions or the session of the new one,
// which share its client id. The caller has checked that client is the id that
// c's certificate allows.
func (r *registry) claim(c *conn, client string) (took bool, err error) {
	timer := time.NewTimer(takeover)
	defer timer.Stop()
	for {
		old, err := r.tryClaim(c, client)
		if old == nil || err != nil {
			return took, err
		}
		took = true
		old.end(errTakenOver)
		select {
		case <-old.gone:
		case <-c.ended:
			return took, net.ErrClosed
		case <-timer.C:
			return took, errBusy
		}
	}
}

// tryClaim returns the connection that stands in the way, if any.
func (r *registry) tryClaim(c *conn, client string) (old *conn, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.sessions[client]; old != nil {
		return old, nil
	}
	if r.stopped {
		return nil, errStopping
	}
	if len(r.sessions) >= r.limits.MaxClients {
		return nil, errFull
	}
	r.sessions[client] = c
	r.unpend(c)
	return nil, nil
}

// unpend frees the pending place of c. The caller holds mu.
func (r *registry) unpend(c *conn) {
	i := slices.Index(r.pending, c)
	if i < 0 {
		return
	}
	r.pending = slices.Delete(r.pending, i, i+1)
	select {
	case r.freed <- struct{}{}:
	default:
	}
}

// leave forgets c, which the MQTT library has let go of. Client is the id under
// which it may have had a session.
func (r *registry) leave(c *conn, client string) {
	r.mu.Lock()
	delete(r.all, c)
	r.unpend(c)
	if r.sessions[client] == c {
		delete(r.sessions, client)
	}
	r.mu.Unlock()
	close(c.gone)
}

// get returns the open session of a client id.
func (r *registry) get(client string) (*conn, bool) {
	r.mu.Lock()
	c := r.sessions[client]
	r.mu.Unlock()
	if c == nil {
		return nil, false
	}
	select {
	case <-c.ended:
		return nil, false
	default:
		return c, true
	}
}

// snapshot returns the present sessions.
func (r *registry) snapshot() []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	conns := make([]*conn, 0, len(r.sessions))
	for _, c := range r.sessions {
		conns = append(conns, c)
	}
	return conns
}

// stop ends every connection, also those that are still to come.
func (r *registry) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	for c := range r.all {
		c.end(errStopping)
	}
}
