package fleet

import (
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/device-sim/fleet/report"
	"github.com/carillon-iot/carillon/schemas"
)

// A signIn is one request. It is written under the lock of its device, and read
// when no device runs any more.
type signIn struct {
	report.SignIn
	device int
	asked  time.Duration // when it was given to the device, at Due or later
}

// news is what an event of the agent says that was not known.
type news int

const (
	nothing news = iota
	rings
	ends
)

// follow takes note of what the agent says.
func (s *signIn) follow(e agent.SignIn, at time.Duration) news {
	switch {
	case e.State == agent.StateRinging && s.Rang == 0:
		s.Rang = at
		return rings
	case !e.State.Final():
		return nothing
	}
	s.Ends++
	if s.Ends > 1 {
		return nothing
	}
	s.Ended = at
	s.Outcome, s.Code = outcomeOf(e)
	return ends
}

// outcomeOf sorts the ends of a sign-in. Cancelled is signed too, but nobody here
// cancels; what the agent has given up is lost, whether it was sent or not.
func outcomeOf(e agent.SignIn) (report.Outcome, string) {
	switch e.State {
	case agent.StateGranted:
		return report.Granted, ""
	case agent.StateUnsent, agent.StateUnknown:
		return report.Lost, string(e.State)
	}
	switch e.Code {
	case schemas.AccessDenied:
		return report.Denied, e.Code.String()
	case schemas.Expired:
		return report.Expired, e.Code.String()
	}
	return report.Refused, e.Code.String()
}
