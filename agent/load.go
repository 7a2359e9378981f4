package agent

import (
	"fmt"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/agent/clock"
	"github.com/carillon-iot/carillon/agent/outbox"
)

// load takes over what the store has. Called once, by New.
func (a *Agent) load() error {
	records, err := a.cfg.Store.Load()
	if err != nil {
		return fmt.Errorf("agent: loading: %w", err)
	}
	if data, ok := records[recordState]; ok {
		if a.state, err = decodeState(data); err != nil {
			a.log.Error("the state cannot be read: sessions and people are lost", "error", err)
			if err := a.cfg.Store.Put(recordState+"-damaged", data); err != nil {
				a.log.Error("cannot set the state aside", "error", err)
			}
		}
	}
	a.clock = clock.New(a.cfg.Clock, a.state.Clock)
	if err := a.refreshSigner(); err != nil {
		return err
	}
	a.loadWelcome(records[recordWelcome])
	a.loadRequests(records)
	a.cabin = newCabin(a, records)
	return nil
}

func (a *Agent) loadRequests(records map[string][]byte) {
	for name, data := range records {
		if !strings.HasPrefix(name, requestPrefix) {
			continue
		}
		e, err := outbox.Decode(data)
		if err != nil || recordOf(e.ID) != name {
			a.log.Error("an open request cannot be read and is left out", "record", name, "error", err)
			continue
		}
		if a.over(e) {
			a.forget(e.ID)
			continue
		}
		a.requests[e.ID] = a.reload(e, time.Now())
		a.log.Info("going on with a request from before the restart", "request", e.ID)
	}
}

// over reports whether a crash has only kept the entry from being deleted.
// A sign-out whose sessions are still there is carried through.
func (a *Agent) over(e *outbox.Entry) bool {
	switch {
	case e.SignIn != nil:
		return a.state.ended(e.ID) != nil
	case e.Renew != nil:
		return a.state.renewalIsOver(e.ID)
	}
	if a.state.followed(e.ID) {
		return true
	}
	a.state.drop(func(s *session) bool { return a.covers(e.SignOut, s) })
	return false
}
