package world

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/schemas"
)

// Ask is what a driver wants.
type Ask struct {
	// Person is somebody who was signed in on this car before, by name; or
	// Hint is an e-mail address.
	Person, Hint string
	// Scope as in "seat climate". The car adds profile: it greets by name.
	Scope string
	// Expiry is how long to ring; 0 leaves it to the bridge.
	Expiry time.Duration
}

// Ask begins a sign-in.
func (c *Car) Ask(ctx context.Context, a Ask) (schemas.ID, error) {
	c.mu.Lock()
	if len(c.agent.Status().Sessions) == 0 {
		c.before = c.Vehicle.Values()
	}
	c.mu.Unlock()
	whom := a.Person
	if whom == "" {
		whom = a.Hint
	}
	c.tell("asks", fmt.Sprintf("asks for %s: %s", whom, a.Scope))
	id, err := c.agent.SignIn(ctx, agent.Request{Person: a.Person, LoginHint: a.Hint, Scope: a.Scope + " profile", Expiry: a.Expiry})
	if err != nil {
		return id, fmt.Errorf("%s: %w", c.who(), err)
	}
	c.mu.Lock()
	c.asked = id
	c.mu.Unlock()
	return id, nil
}

// Cancel withdraws the latest sign-in.
func (c *Car) Cancel(ctx context.Context) error {
	c.tell("cancels", "cancels")
	return c.agent.Cancel(ctx, c.Asked())
}

// SignOut ends every session.
func (c *Car) SignOut(ctx context.Context) error {
	c.tell("signs-out", "signs out")
	_, err := c.agent.SignOut(ctx, agent.Target{All: true})
	return err
}

// Asked is the latest sign-in.
func (c *Car) Asked() schemas.ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// SignIn returns what has become of a sign-in.
func (c *Car) SignIn(id schemas.ID) (agent.SignIn, bool) {
	for _, s := range c.agent.Status().SignIns {
		if s.ID == id {
			return s, true
		}
	}
	return agent.SignIn{}, false
}

// Status is what the agent says of itself.
func (c *Car) Status() agent.Status { return c.agent.Status() }

// Now is what the agent takes for the time.
func (c *Car) Now() time.Time { return c.agent.Now() }

// Knows reports whether a person can be named without a hint.
func (c *Car) Knows(name string) bool {
	for _, p := range c.agent.Status().People {
		if p.Name == name {
			return true
		}
	}
	return false
}

// HasToken returns nil if the car has an access token that is good, and why not
// otherwise.
func (c *Car) HasToken(ctx context.Context) error {
	_, _, err := c.agent.Token(ctx, c.Asked())
	return err
}

// Connections is how often the car has connected to the broker.
func (c *Car) Connections() int { return int(c.link.Status().Connections) }

// Republish sends bytes that the car has sent before.
func (c *Car) Republish(ctx context.Context, payload []byte) error {
	return c.link.Publish(ctx, schemas.UpTopic(c.Device).String(), payload)
}
