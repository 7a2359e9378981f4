package provider

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// linger is how long a lapsed request is remembered, so that a late poll hears
// expired_token and not invalid_grant.
const linger = time.Minute

// sweepEvery is the least time between two sweeps of a store. A sweep visits
// every entry.
const sweepEvery = 10 * time.Second

// requestStore holds the sign-in requests: go-oidc's sessions, what the phones
// see of them, and how fast they are polled.
type requestStore struct {
	max      int                // undecided requests
	interval time.Duration      // of a new request
	observe  func(Event)        // never called under mu
	journal  func(record) error // called under mu, before the change

	mu          sync.Mutex
	byID        map[string]*entry
	byAuthReqID map[string]*entry
	inboxes     map[string]*inbox // by subject; one per person, made once
	pending     int               // entries neither decided nor swept
	seq         uint64            // of the newest entry
	swept       time.Time
}

// entry is one request. Its fields are guarded by requestStore.mu; a session
// that leaves the store is a copy.
type entry struct {
	seq      uint64
	request  Request
	session  *goidc.AuthnSession // nil once a grant has taken over
	claimed  bool                // decided; request.decided is closed
	interval time.Duration       // least time between polls from now on
	polled   time.Time           // last poll; zero before the first
}

func newRequestStore(maxPending int, interval time.Duration, people directory) *requestStore {
	s := &requestStore{
		max: maxPending, interval: interval, journal: func(record) error { return nil },
		byID: map[string]*entry{}, byAuthReqID: map[string]*entry{}, inboxes: map[string]*inbox{},
	}
	for subject := range people.bySubject {
		s.inboxes[subject] = &inbox{changed: make(chan struct{})}
	}
	return s
}

// SaveSession is go-oidc's write. The first write of a session makes the
// request visible to the phone.
func (s *requestStore) SaveSession(_ context.Context, as *goidc.AuthnSession) error {
	fresh, err := s.save(as)
	if fresh {
		s.observe(Event{Kind: Rang, RequestID: as.ID, ClientID: as.ClientID, Subject: as.Subject})
	}
	return err
}

// save reports whether the session was new.
func (s *requestStore) save(as *goidc.AuthnSession) (fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(time.Now())
	e, known := s.byID[as.ID]
	if !known {
		r := as.Store[storeRequest].(Request)
		r.ExpiresAt = time.Unix(int64(as.ExpiresAt), 0)
		if err := s.journal(recordOf(as, Rang, &r)); err != nil {
			return false, err
		}
		s.insert(copySession(as), r)
		return true, nil
	}
	if as.Status == goidc.StatusFailure { // of an approval, the grant is what is kept
		if err := s.journal(recordOf(as, Denied, nil)); err != nil {
			return false, err
		}
	}
	e.session = copySession(as)
	if as.Status == goidc.StatusSuccess {
		s.release(e)
	}
	return false, nil
}

// insert adds a request, and tells the phone.
func (s *requestStore) insert(as *goidc.AuthnSession, r Request) *entry {
	box := s.inboxes[as.Subject]
	s.seq++
	e := &entry{seq: s.seq, session: as, request: r, interval: s.interval}
	s.byID[as.ID], s.byAuthReqID[as.AuthReqID] = e, e
	s.pending++
	box.entries = append(box.entries, e)
	box.rings++
	close(box.changed)
	box.changed = make(chan struct{})
	return e
}

// release lets go of a session that a grant has taken over.
func (s *requestStore) release(e *entry) {
	if e.session != nil {
		delete(s.byAuthReqID, e.session.AuthReqID)
		e.session = nil
	}
}

// decide makes a request one that is no longer open.
func (s *requestStore) decide(e *entry) {
	if !e.claimed {
		e.claimed = true
		s.pending--
		close(e.request.decided)
	}
}

// denied reports whether a denial has been stored.
func (s *requestStore) denied(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byID[id]
	return ok && e.session != nil && e.session.Status == goidc.StatusFailure
}

// update replaces a session in place.
func (s *requestStore) update(as *goidc.AuthnSession) error {
	_, err := s.save(as)
	return err
}

// full reports whether another undecided request is too many.
func (s *requestStore) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(time.Now())
	return s.pending >= s.max
}

// Session is go-oidc's read by session id.
func (s *requestStore) Session(_ context.Context, id string) (*goidc.AuthnSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.byID[id]; ok && e.session != nil {
		return copySession(e.session), nil
	}
	return nil, fmt.Errorf("session: %w", goidc.ErrNotFound)
}

// SessionByAuthReqID is go-oidc's read by auth_req_id. A token request gets
// here only while there is no grant, so this is where polls are counted.
func (s *requestStore) SessionByAuthReqID(ctx context.Context, authReqID string) (*goidc.AuthnSession, error) {
	as, interval, err := s.poll(callOf(ctx), authReqID)
	if err != nil && interval != 0 {
		s.observe(Event{Kind: SlowDown, RequestID: as.ID, ClientID: as.ClientID, Subject: as.Subject, Interval: interval})
		return nil, err
	}
	return as, err
}

// poll finds a session and, for a token request, holds the client to the
// interval (CIBA Core section 11): a poll that comes early gets slow_down and
// adds 5 s for this and all later ones. One fifth of the interval, at most a
// second, is tolerated, because requests that leave on time need not arrive so.
// The first poll is never early. With slow_down, the new interval is returned.
func (s *requestStore) poll(c *call, authReqID string) (*goidc.AuthnSession, time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byAuthReqID[authReqID]
	if !ok || c.redeems() && e.session.ClientID != c.client {
		return nil, 0, fmt.Errorf("session: %w", goidc.ErrNotFound)
	}
	as := copySession(e.session)
	if !c.redeems() {
		return as, 0, nil
	}
	if c.push {
		return nil, 0, errPush
	}
	now := time.Now()
	early := !e.polled.IsZero() && now.Sub(e.polled) < e.interval-min(e.interval/5, time.Second)
	e.polled = now
	if !early || e.claimed || !now.Before(e.request.ExpiresAt) {
		return as, 0, nil
	}
	e.interval += 5 * time.Second
	return as, e.interval, goidc.Errorf(goidc.ErrorCodeSlowDown, "wait at least %d s between requests", int(e.interval/time.Second))
}

// claim makes the caller the one who decides a request, if check allows it
// given the scopes asked for, and returns the session.
func (s *requestStore) claim(id string, check func(asked string) error) (*goidc.AuthnSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byID[id]
	switch {
	case !ok:
		return nil, ErrUnknownRequest
	case e.claimed:
		return nil, ErrDecided
	case !time.Now().Before(e.request.ExpiresAt):
		return nil, ErrLapsed
	}
	if check != nil {
		if err := check(e.session.Scopes); err != nil {
			return nil, err
		}
	}
	s.decide(e)
	return copySession(e.session), nil
}

// sweep forgets requests that lapsed more than linger ago.
func (s *requestStore) sweep(now time.Time) {
	if now.Sub(s.swept) < sweepEvery {
		return
	}
	s.swept = now
	for id, e := range s.byID {
		if now.Before(e.request.ExpiresAt.Add(linger)) {
			continue
		}
		delete(s.byID, id)
		if e.session != nil {
			delete(s.byAuthReqID, e.session.AuthReqID)
		}
		if !e.claimed {
			s.pending--
		}
	}
	for _, box := range s.inboxes {
		box.prune(now)
	}
}

// copySession lets caller and store change their sessions independently.
func copySession(as *goidc.AuthnSession) *goidc.AuthnSession {
	c := *as
	c.Store = maps.Clone(as.Store)
	return &c
}

// requestOf is what a phone shows of a session.
func (p *Provider) requestOf(as *goidc.AuthnSession, purpose string) Request {
	r := Request{
		ID: as.ID, Subject: as.Subject,
		ClientID: as.ClientID, ClientName: p.clients[as.ClientID].Name,
		BindingMessage: as.BindingMessage, Purpose: purpose,
		CreatedAt: time.Now(),
		decided:   make(chan struct{}),
	}
	for _, name := range strings.Fields(as.Scopes) {
		if name != "openid" {
			r.Scopes = append(r.Scopes, p.scope(name))
		}
	}
	return r
}

// cibaStore is what go-oidc calls a CIBA manager.
type cibaStore struct {
	*requestStore
	*grantStore
}
