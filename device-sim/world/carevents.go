package world

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/device-sim/world/wiretap"
	"github.com/carillon-iot/carillon/schemas"
)

func (c *Car) who() string { return c.Name + " car" }

// tell tells of something that the car did, with the bytes since the last time.
func (c *Car) tell(what, text string) {
	c.mu.Lock()
	now := c.Tap.Count()
	since := now.Sub(c.told)
	c.told = now
	c.mu.Unlock()
	c.journal.tell(Event{Who: c.who(), What: what, Text: text, Up: since.Up, Down: since.Down})
}

// heard is told of each packet. Messages are events; the rest of MQTT is counted
// with the message that follows.
func (c *Car) heard(p wiretap.Packet) {
	c.mu.Lock()
	c.cost[p.Kind] = c.cost[p.Kind].Add(p)
	c.number[p.Kind]++
	if p.Type.Connects() {
		c.linked = c.linked.Add(p)
	}
	c.keep(p)
	if p.Lost {
		c.lost++
	}
	c.mu.Unlock()
	switch {
	case p.Lost:
		c.tell("lost", fmt.Sprintf("%v is lost on its way down", p.Kind))
	case p.Kind != 0 && p.Way == schemas.Up:
		c.tell(p.Kind.String(), fmt.Sprintf("▲ %v", p.Kind))
	case p.Kind != 0:
		c.tell(p.Kind.String(), fmt.Sprintf("▼ %v", p.Kind))
	}
}

// keep remembers of a packet what is asked for later.
func (c *Car) keep(p wiretap.Packet) {
	switch {
	case p.Type != wiretap.Publish:
	case p.Way == schemas.Up:
		c.sent[p.Kind] = p.Payload
	default:
		c.got[sha256.Sum256(p.Payload)] = true
		if p.Kind != schemas.KindWelcome {
			return
		}
		if e, err := schemas.Parse(schemas.DownTopic(c.Device), p.Payload); err == nil {
			if welcome, ok := e.Unverified().(*schemas.Welcome); ok && welcome.Sealing != nil {
				c.seal = welcome.Sealing
			}
		}
	}
}

// Got reports whether a message has come down to the car.
func (c *Car) Got(payload []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got[sha256.Sum256(payload)]
}

// SealingKey is the bridge's, as anybody can read it in a welcome.
func (c *Car) SealingKey() (schemas.PublicKey, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seal == nil {
		return schemas.PublicKey{}, false
	}
	return *c.seal, true
}

// Spent is what sign-ins have cost the radio: all its bytes but introductions
// (hello and welcome) and connections.
func (c *Car) Spent() wiretap.Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	spent := c.Tap.Count().Sub(c.linked)
	for _, k := range []schemas.Kind{schemas.KindHello, schemas.KindWelcome} {
		spent = spent.Sub(c.cost[k])
	}
	return spent
}

// Carried is how many messages of a kind the radio has carried.
func (c *Car) Carried(k schemas.Kind) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.number[k]
}

// Sent returns the latest message of a kind that the car has published.
func (c *Car) Sent(k schemas.Kind) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.sent[k]
	return b, ok
}

// Lost is how many messages the radio has lost.
func (c *Car) Lost() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// follow tells what the agent says of itself.
func (c *Car) follow(e agent.Event) {
	switch {
	case e.SignIn != nil:
		c.followSignIn(*e.SignIn)
	case e.Session != nil:
		c.followSession(*e.Session)
	case e.Ended != nil:
		c.mu.Lock()
		c.restoring = true
		c.mu.Unlock()
		c.tell("signed-out", orSomebody(e.Ended.Name)+" is signed out")
		c.watchRestored()
	case e.Link != nil && e.Link.Connected:
		c.tell("connected", "is connected")
	case e.Link != nil:
		c.tell("disconnected", "has lost the connection")
	}
}

func (c *Car) followSignIn(s agent.SignIn) {
	switch s.State {
	case agent.StateRinging:
		c.tell("shows", fmt.Sprintf("shows %q: look at your phone", s.Binding))
	case agent.StateRefused:
		text := "refused: " + strings.ReplaceAll(s.Code.String(), "_", " ")
		if s.RetryAfter > 0 {
			text += fmt.Sprintf(", again in %v", s.RetryAfter)
		}
		c.tell("refused-"+strings.ReplaceAll(s.Code.String(), "_", "-"), text)
	case agent.StateCancelled, agent.StateUnsent, agent.StateUnknown:
		c.tell(string(s.State), string(s.State))
	}
}

func (c *Car) followSession(s agent.Session) {
	before := c.session
	c.session = s
	if s.ID == before.ID && s.Settings == before.Settings {
		c.followToken(before, s)
		return
	}
	switch s.Settings {
	case agent.SettingsFetching:
		c.tell("signed-in", fmt.Sprintf("%s is signed in for %v", orSomebody(s.Name), s.ExpiresIn))
	case agent.SettingsApplied, agent.SettingsHeld:
		changed := c.Changed()
		c.tell("applied", fmt.Sprintf("%d settings applied", len(s.Applied)))
		for _, ch := range changed {
			c.tell("set", c.describe(ch))
		}
	case agent.SettingsFailed:
		c.tell("settings-failed", "settings not applied: "+s.Problem)
	}
}

// followToken tells of a session whose settings are as they were.
func (c *Car) followToken(before, s agent.Session) {
	switch {
	case s.RingAgain && !before.RingAgain:
		c.tell("ring-again", fmt.Sprintf("cannot be renewed: %s must be rung again within %v", orSomebody(s.Name), s.ExpiresIn))
	case s.ExpiresIn > before.ExpiresIn:
		c.tell("renewed", fmt.Sprintf("%s stays signed in for %v", orSomebody(s.Name), s.ExpiresIn))
	}
}

// watchRestored tells, once after a session has ended, that nothing of it is
// left. It is asked at every change in the vehicle.
func (c *Car) watchRestored() {
	if len(c.Changed()) > 0 {
		return
	}
	c.mu.Lock()
	was := c.restoring
	c.restoring = false
	c.mu.Unlock()
	if was {
		c.tell("restored", "everything is as it was before")
	}
}

// Changed returns what differs from the time when nobody was signed in, by path.
func (c *Car) Changed() []vehicle.Change {
	c.mu.Lock()
	before := c.before
	c.mu.Unlock()
	now := c.Vehicle.Values()
	var out []vehicle.Change
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if before[path] != now[path] {
			out = append(out, vehicle.Change{Path: path, Old: before[path], New: now[path]})
		}
	}
	return out
}

func (c *Car) describe(ch vehicle.Change) string {
	path := strings.TrimPrefix(strings.TrimPrefix(ch.Path, "Vehicle."), "Cabin.")
	text := fmt.Sprintf("  %s  %v → %v", path, ch.Old, ch.New)
	if s, ok := vehicle.VSS6().Signal(ch.Path); ok && s.Unit != "" {
		text += " " + s.Unit
	}
	return text
}

func orSomebody(name string) string {
	if name == "" {
		return "somebody"
	}
	return name
}
