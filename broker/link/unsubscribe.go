package link

import (
	"context"
	"fmt"
	"time"
)

// Unsubscribe ends all subscriptions, for this connection and those to come, and
// returns when the broker has acknowledged that: from then on it gives the
// messages of a shared subscription to its other members. While the link is not
// up there is nothing to wait for. What has arrived is still handled, and Publish
// works as before. It is for a program that is about to end.
func (l *Link) Unsubscribe(ctx context.Context) error {
	l.mu.Lock()
	l.retired = true
	l.mu.Unlock()
	s := l.hold()
	if s == nil {
		return nil
	}
	result := make(chan error, 1)
	go func() {
		defer l.calls.Done()
		result <- s.unsubscribe(l.cfg.Subscribe)
	}()
	select {
	case err := <-result:
		if err != nil {
			return fmt.Errorf("unsubscribing: %w", err)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// filters are those to subscribe on the next connection.
func (l *Link) filters() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired {
		return nil
	}
	return l.cfg.Subscribe
}

// unsubscribe may outlast the caller of Unsubscribe.
func (s *session) unsubscribe(filters []string) error {
	if len(filters) == 0 {
		return nil
	}
	s.conn.retiring.Store(true)
	token := s.client.Unsubscribe(filters...)
	timeout := time.NewTimer(ackTimeout)
	defer timeout.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-s.done:
		return s.lost()
	case <-timeout.C:
		return fmt.Errorf("%w within %v", errNoAck, ackTimeout)
	}
}
