package cmd

import (
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

// The expiry follows from what the provider takes, or is held against it.
func TestExpiryFits(t *testing.T) {
	day, minute := profile.Expiry{Longest: 24 * time.Hour}, profile.Expiry{Longest: time.Minute}
	mail := profile.Expiry{Longest: time.Hour, Push: 90 * time.Second}
	for name, c := range map[string]struct {
		expiry         profile.Expiry
		args           []string
		longest, usual time.Duration
		problem        string
	}{
		"as it is":              {day, nil, 5 * time.Minute, 2 * time.Minute, ""},
		"shorter":               {minute, nil, time.Minute, time.Minute, ""},
		"a push":                {mail, nil, 90 * time.Second, 90 * time.Second, ""},
		"an e-mail":             {mail, []string{"--max-expiry=30m"}, 30 * time.Minute, 2 * time.Minute, ""},
		"too long":              {mail, []string{"--max-expiry=2h"}, 0, 0, "--max-expiry is 2h0m0s, but the provider allows at most 1h0m0s"},
		"longer by default":     {minute, []string{"--expiry=2m"}, 0, 0, "ascending order"},
		"set to what it allows": {minute, []string{"--max-expiry=1m", "--expiry=30s"}, time.Minute, 30 * time.Second, ""},
	} {
		fs := flag.NewFlagSet("serve", flag.ContinueOnError)
		s := new(settings)
		s.define(fs)
		if err := fs.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		p, err := s.buildPolicy(profile.Profile{Title: "the provider", Expiry: c.expiry})
		switch {
		case c.problem != "":
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%s: %v, want %q", name, err, c.problem)
			}
		case err != nil || p.MaxExpiry != c.longest || p.DefaultExpiry != c.usual:
			t.Errorf("%s: %v, up to %v, by default %v", name, err, p.MaxExpiry, p.DefaultExpiry)
		}
	}
}
