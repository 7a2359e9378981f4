package scenario

import (
	"context"
	"time"

	"github.com/carillon-iot/carillon/device-sim/scenario/script"
)

func givens() []sentence {
	return []sentence{
		{"the clock of the {car} car stands at 1970", "the car's own clock starts at 1970-01-01 and runs", clockAt1970},
		{"the bridge is a process of its own", "so that it can be killed", ownProcess},
		{"the provider's tokens live {duration}", "15 minutes unless said otherwise", tokensLive},
		{"people may stay signed in on cars for {duration}", "without being rung again: the bridge renews; for one token unless said otherwise", stayFor},
		{"the provider may be asked every {duration}", "its polling interval; 1 s unless said otherwise", pollEvery},
	}
}

func clockAt1970(_ context.Context, s *stage, a script.Args) error {
	began := time.Now()
	s.cfg.Clocks[a["car"].(string)] = func() time.Time { return time.Unix(0, 0).Add(time.Since(began)) }
	return nil
}

func ownProcess(_ context.Context, s *stage, _ script.Args) error {
	s.cfg.BridgeProcess = true
	return nil
}

func tokensLive(_ context.Context, s *stage, a script.Args) error {
	s.cfg.TokenLife = a["duration"].(time.Duration)
	return nil
}

func stayFor(_ context.Context, s *stage, a script.Args) error {
	s.cfg.SessionLife = a["duration"].(time.Duration)
	return nil
}

func pollEvery(_ context.Context, s *stage, a script.Args) error {
	s.cfg.Interval = a["duration"].(time.Duration)
	return nil
}
