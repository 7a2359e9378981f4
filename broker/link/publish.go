package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// maxInflight bounds the publishes that wait for their acknowledgement; further
// ones wait for a place. A place is given up after ackTimeout without ending
// the connection: a broker that answers a forbidden publish with silence must
// not cause a loop of reconnections. Each such silence costs a packet
// identifier, so after maxAbandoned of them the connection is renewed.
const (
	maxInflight  = 256
	ackTimeout   = time.Minute
	maxAbandoned = 1 << 15
)

var errNoAck = errors.New("no acknowledgement")

// Publish sends a message with QoS 1 and waits until the broker has
// acknowledged it, the connection is lost (an [ErrDown]) or ctx has ended. It
// fails at once with ErrDown when the link is not up. Nil proves that the broker
// has received the message, and nothing about anybody else; an error proves
// nothing, and nothing is sent again later.
func (l *Link) Publish(ctx context.Context, topic string, payload []byte) error {
	if err := l.checkMessage(topic, payload); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	s := l.hold()
	if s == nil {
		return ErrDown
	}
	if err := s.publish(ctx, topic, bytes.Clone(payload), l.calls.Done); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	return nil
}

func (l *Link) checkMessage(topic string, payload []byte) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	const lengths = 4 // of the topic, and the packet identifier
	if n := lengths + len(topic) + len(payload); n > l.cfg.MaxPacket {
		return fmt.Errorf("packet of %d bytes, want at most %d", n, l.cfg.MaxPacket)
	}
	return nil
}

// hold returns the session if the link is up, and makes Run wait for one call
// of calls.Done.
func (l *Link) hold() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != nil {
		l.calls.Add(1)
	}
	return l.session
}

// publish calls release when the library is done with the message, which may
// be later than its own return.
func (s *session) publish(ctx context.Context, topic string, payload []byte, release func()) error {
	select {
	case s.window <- struct{}{}:
	case <-s.done:
		release()
		return s.lost()
	case <-ctx.Done():
		release()
		return context.Cause(ctx)
	}
	result := make(chan error, 1)
	go func() {
		defer release()
		result <- s.send(topic, payload)
		<-s.window
	}()
	select {
	case err := <-result:
		return err
	case <-s.done:
		return s.lost()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// send is all of a publish that may outlast its caller.
func (s *session) send(topic string, payload []byte) error {
	token := s.client.Publish(topic, 1, false, payload)
	timeout := time.NewTimer(ackTimeout)
	defer timeout.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-s.done:
		return s.lost()
	case <-timeout.C:
		if s.abandoned.Add(1) >= maxAbandoned {
			s.fail(errSilent)
		}
		return fmt.Errorf("%w within %v", errNoAck, ackTimeout)
	}
}

func (s *session) lost() error {
	return fmt.Errorf("%w: %w", ErrDown, s.cause)
}
