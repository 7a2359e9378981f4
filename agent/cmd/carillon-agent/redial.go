package main

import (
	"context"
	"net"
	"sync"
	"time"
)

// publisher is a function as an agent.Publisher.
type publisher func(ctx context.Context, topic string, payload []byte) error

func (f publisher) Publish(ctx context.Context, topic string, payload []byte) error {
	return f(ctx, topic, payload)
}

// nowOf tells the time of an agent that is made later than who asks.
func nowOf(d *parts) func() time.Time { return func() time.Time { return d.agent.Now() } }

// redialer dials, and can end the connection that it has dialed: after a
// renewal, so that the new certificate is shown.
type redialer struct {
	dial func(ctx context.Context) (net.Conn, error)

	mu   sync.Mutex // guards last
	last net.Conn
}

// Dial is for link.Config.Dial.
func (r *redialer) Dial(ctx context.Context) (net.Conn, error) {
	c, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = c
	return c, nil
}

// Again ends the connection; the link dials anew.
func (r *redialer) Again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != nil {
		r.last.Close()
		r.last = nil
	}
}
