package fleet

import (
	"testing"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/device-sim/fleet/report"
	"github.com/carillon-iot/carillon/schemas"
)

// The first ringing and the first end count, and every end is counted.
func TestFollow(t *testing.T) {
	var s signIn
	for i, c := range []struct {
		e    agent.SignIn
		want news
	}{
		{agent.SignIn{State: agent.StateSending}, nothing},
		{agent.SignIn{State: agent.StateRinging}, rings},
		{agent.SignIn{State: agent.StateRinging}, nothing},
		{agent.SignIn{State: agent.StateGranted}, ends},
		{agent.SignIn{State: agent.StateRefused, Code: schemas.Expired}, nothing},
	} {
		if got := s.follow(c.e, time.Duration(i)*time.Second); got != c.want {
			t.Errorf("event %d: %v, want %v", i, got, c.want)
		}
	}
	if s.Rang != time.Second || s.Ended != 3*time.Second || s.Outcome != report.Granted || s.Ends != 2 {
		t.Errorf("followed to %+v", s.SignIn)
	}
}

// Nothing but an answer that a bridge has signed keeps a request from being lost.
func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		state agent.State
		code  schemas.Code
		want  report.Outcome
		why   string
	}{
		{agent.StateGranted, 0, report.Granted, ""},
		{agent.StateRefused, schemas.AccessDenied, report.Denied, "access_denied"},
		{agent.StateRefused, schemas.Expired, report.Expired, "expired"},
		{agent.StateRefused, schemas.Interrupted, report.Refused, "interrupted"},
		{agent.StateRefused, schemas.ProviderUnavailable, report.Refused, "provider_unavailable"},
		{agent.StateCancelled, schemas.Cancelled, report.Refused, "cancelled"},
		{agent.StateUnknown, 0, report.Lost, "unknown"},
		{agent.StateUnsent, 0, report.Lost, "unsent"},
	} {
		if got, why := outcomeOf(agent.SignIn{State: c.state, Code: c.code}); got != c.want || why != c.why {
			t.Errorf("%s, %v: %s %q, want %s %q", c.state, c.code, got, why, c.want, c.why)
		}
	}
}
