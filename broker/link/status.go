package link

import (
	"time"
)

// State is what a link is doing.
type State string

// The states.
const (
	Down       State = "down"       // waiting for the next attempt, or Run has not begun
	Connecting State = "connecting" // dialing, saying hello, subscribing
	Up         State = "up"         // connected and everything subscribed
	Closed     State = "closed"     // Run has returned
)

// Status is a snapshot of a link.
type Status struct {
	State    State
	Since    time.Time // when State began
	Failures int       // attempts that have failed since the link was last up
	Err      error     // why the last attempt or connection ended; nil if none has, or while up

	Connections uint64 // times the link has come up
	Received    uint64 // messages taken from the broker
	Dropped     uint64 // of these, messages that found the queue full
}

// Status returns what the link is doing and has done.
func (l *Link) Status() Status {
	l.mu.Lock()
	s := l.status
	l.mu.Unlock()
	s.Received, s.Dropped = l.inbox.received.Load(), l.inbox.dropped.Load()
	return s
}

// set changes the state; a nil err leaves the last error as it is.
func (l *Link) set(state State, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.State, l.status.Since = state, time.Now()
	if err != nil {
		l.status.Err = err
	}
}

func (l *Link) failed(err error) {
	l.mu.Lock()
	l.status.Failures++
	l.mu.Unlock()
	l.set(Down, err)
}

func (l *Link) nowUp(s *session) {
	l.mu.Lock()
	l.session = s
	l.status.Err = nil
	l.status.Failures = 0
	l.status.Connections++
	l.mu.Unlock()
	l.set(Up, nil)
	close(s.up)
	l.cfg.Logger.Info("connected to the broker", "client", l.cfg.ClientID, "broker", s.remote, "subscribed", l.cfg.Subscribe)
}

func (l *Link) noLongerUp(err error) {
	l.mu.Lock()
	l.session = nil
	l.mu.Unlock()
	l.set(Down, err)
}
