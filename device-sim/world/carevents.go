package world

import (
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
	sum := c.cost[p.Kind]
	if p.Way == schemas.Up {
		sum.Up += int64(p.Bytes)
	} else {
		sum.Down += int64(p.Bytes)
	}
	c.cost[p.Kind] = sum
	if p.Way == schemas.Up && p.Kind != 0 {
		c.sent[p.Kind] = p.Payload
	}
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

// Cost is what messages of a kind have cost the radio, as MQTT packets; kind 0
// is everything that is no message.
func (c *Car) Cost(k schemas.Kind) wiretap.Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cost[k]
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
		text := fmt.Sprintf("%s is signed out", orSomebody(e.Ended.Name))
		if len(c.Changed()) == 0 {
			text += ", everything is as it was before"
		}
		c.tell("signed-out", text)
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
