package main

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
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
	last *endable
}

// Dial is for link.Config.Dial.
func (r *redialer) Dial(ctx context.Context) (net.Conn, error) {
	c, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = &endable{Conn: c}
	return r.last, nil
}

// Again ends the connection; the link dials anew.
func (r *redialer) Again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != nil {
		r.last.end()
		r.last = nil
	}
}

// endable is a connection that looks as if the other end had closed it after
// end. The MQTT library takes the error of a connection that was closed on this
// side for its own doing, and waits for ever.
type endable struct {
	net.Conn
	ended atomic.Bool
}

func (c *endable) end() {
	c.ended.Store(true)
	c.Close()
}

func (c *endable) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && c.ended.Load() {
		err = io.EOF
	}
	return n, err
}
