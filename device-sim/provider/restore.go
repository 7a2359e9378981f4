package provider

import (
	"encoding/json"
	"fmt"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// restore takes over what the journal has.
func (p *Provider) restore(j *Journal) error {
	_, err := j.read(0, func(line []byte) error {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		switch {
		case r.Session != nil:
			retype(r.Session.Store)
			return p.requests.restore(r)
		case r.Grant != nil:
			retype(r.Grant.Store)
			p.grants.restore(r.Grant)
			p.requests.granted(r.Grant.AuthReqID)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("journal %q: %w", j.path, err)
	}
	return nil
}

// restore repeats a write of a session.
func (s *requestStore) restore(r record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.byID[r.Session.ID]
	switch {
	case ok:
		e.session = r.Session
	case r.Request == nil:
		return fmt.Errorf("request %q is changed before it is made", r.Session.ID)
	case s.inboxes[r.Session.Subject] == nil:
		return fmt.Errorf("no person has subject %q", r.Session.Subject)
	default:
		r.Request.decided = make(chan struct{})
		e = s.insert(r.Session, *r.Request)
	}
	if r.Session.Status != goidc.StatusPending {
		s.decide(e)
	}
	return nil
}

// granted makes a request one that a grant has taken over.
func (s *requestStore) granted(authReqID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.byAuthReqID[authReqID]; ok {
		s.decide(e)
		s.release(e)
	}
}

// restore repeats a write of a grant.
func (s *grantStore) restore(g *goidc.Grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.byID[g.ID]
	if !ok {
		old = &goidc.Grant{}
	}
	s.byAuthReqID[g.AuthReqID] = g.ID
	s.index(g, old)
}

// retype gives the values of a Store the types that JSON has no name for.
func retype(store map[string]any) {
	if n, ok := store[storeAuthTime].(float64); ok {
		store[storeAuthTime] = int64(n)
	}
	if n, ok := store[storeVersion].(float64); ok {
		store[storeVersion] = int(n)
	}
	if list, ok := store[storeAMR].([]any); ok {
		methods := make([]string, len(list))
		for i, m := range list {
			methods[i], _ = m.(string)
		}
		store[storeAMR] = methods
	}
}
