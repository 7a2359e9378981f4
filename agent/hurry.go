package agent

import (
	"math/rand/v2"
	"time"
)

// hurryPause is the longest pause between two attempts to connect while somebody
// waits. A link by itself waits for minutes, which is right for a fleet in a
// garage and wrong for a person at a screen.
const hurryPause = 10 * time.Second

// awaited reports whether somebody waits for something that needs the link.
func (a *Agent) awaited() bool {
	for _, r := range a.requests {
		if r.entry.SignIn != nil && !r.entry.Withdrawn {
			return true
		}
	}
	return false
}

// nextHurry is when the link is to be told to try again; zero for never.
func (a *Agent) nextHurry() time.Time {
	if a.cfg.Hurry == nil || a.connected || !a.awaited() {
		return time.Time{}
	}
	return a.hurry
}

func (a *Agent) stepHurry(now time.Time) {
	if t := a.nextHurry(); t.IsZero() || now.Before(t) {
		return
	}
	a.hurryLater(now)
	a.cfg.Hurry()
}

// hurryLater leaves the link to itself for a while, which differs between the
// devices of a fleet that has lost its broker in one moment.
func (a *Agent) hurryLater(now time.Time) {
	a.hurry = now.Add(hurryPause/2 + rand.N(hurryPause/2))
}
