package fleet

import (
	"fmt"
	"slices"
	"time"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

// facts gives what the provider saw to the sign-ins that it was about. The
// provider knows people, not requests of devices; but a device asks for one
// sign-in at a time, so what happens to its person belongs to the one that it
// asked for last.
type facts struct {
	began    time.Time
	byDevice [][]*signIn // each in the order of asking
	strays   int         // pushes to people for whom nobody had asked yet
}

func newFacts(began time.Time, devices int, asked []signIn) *facts {
	f := &facts{began: began.Round(0), byDevice: make([][]*signIn, devices)}
	for i := range asked {
		s := &asked[i]
		f.byDevice[s.device] = append(f.byDevice[s.device], s)
	}
	return f
}

// read takes in the whole journal of the provider.
func (f *facts) read(journal string) error {
	var wrong error
	_, err := provider.ReadEvents(journal, 0, func(e provider.Event) {
		if err := f.take(e); err != nil && wrong == nil {
			wrong = err
		}
	})
	if err != nil {
		return err
	}
	return wrong
}

func (f *facts) take(e provider.Event) error {
	number, err := numberOf(e.Subject)
	if err != nil || number < 0 || number >= len(f.byDevice) {
		return fmt.Errorf("the provider's journal is about %q, who is nobody here", e.Subject)
	}
	at := e.Time.Sub(f.began)
	s := lastBefore(f.byDevice[number], at)
	switch {
	case s != nil:
		s.saw(e.Kind, at)
	case e.Kind == provider.Rang:
		f.strays++
	}
	return nil
}

// lastBefore returns the last that had been asked for at a moment.
func lastBefore(asked []*signIn, at time.Duration) *signIn {
	for _, s := range slices.Backward(asked) {
		if s.asked <= at {
			return s
		}
	}
	return nil
}

// saw notes what the provider says of a sign-in.
func (s *signIn) saw(k provider.EventKind, at time.Duration) {
	switch k {
	case provider.Rang:
		s.Pushes++
	case provider.Approved:
		if s.Approved == 0 {
			s.Approved = at
		}
	case provider.Redeemed:
		s.Redeemed++
	}
}
