package policy_test

import (
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/schemas"
)

func TestCheck(t *testing.T) {
	p := policy.Default()
	if r := p.Check(policy.Ask{Kind: schemas.Thing, Scope: []string{"anything"}, Moving: true, Seat: 1}); r != nil {
		t.Errorf("the default policy refuses: %+v", r)
	}
	p.Scopes = map[schemas.DeviceKind][]string{schemas.Car: {"seat"}}
	p.Moving = policy.MovingNotDriver
	p.MaxPurpose = 4
	for _, c := range []struct {
		name string
		ask  policy.Ask
		want schemas.Code // 0: allowed
	}{
		{"allowed", policy.Ask{Kind: schemas.Car, Scope: []string{"openid", "seat"}}, 0},
		{"kind", policy.Ask{Kind: schemas.Till, Scope: []string{"seat"}}, schemas.NotAllowed},
		{"scope", policy.Ask{Kind: schemas.Car, Scope: []string{"seat", "mirror"}}, schemas.InvalidScope},
		{"purpose", policy.Ask{Kind: schemas.Car, Purpose: "12345"}, schemas.NotAllowed},
		{"driver", policy.Ask{Kind: schemas.Car, Moving: true, Seat: 1}, schemas.NotAllowed},
		{"no seat", policy.Ask{Kind: schemas.Car, Moving: true}, schemas.NotAllowed},
		{"passenger", policy.Ask{Kind: schemas.Car, Moving: true, Seat: 3}, 0},
	} {
		r := p.Check(c.ask)
		if (r == nil) != (c.want == 0) || r != nil && r.Code != c.want {
			t.Errorf("%s: %+v, want %v", c.name, r, c.want)
		}
		if r != nil && r.Reason == "" {
			t.Errorf("%s: no reason", c.name)
		}
	}
	p.Moving = policy.MovingRefused
	if p.Check(policy.Ask{Kind: schemas.Car, Moving: true, Seat: 3}) == nil {
		t.Error("a passenger may, although nobody should")
	}
}

func TestExpiry(t *testing.T) {
	p := policy.Default()
	for wanted, want := range map[time.Duration]time.Duration{
		0:                 2 * time.Minute,
		time.Second:       15 * time.Second,
		time.Minute:       time.Minute,
		17 * time.Hour:    5 * time.Minute,
		15 * time.Second:  15 * time.Second,
		300 * time.Second: 300 * time.Second,
	} {
		if got := p.Expiry(wanted); got != want {
			t.Errorf("a wish for %v gives %v, want %v", wanted, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	if err := policy.Default().Validate(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
	for name, edit := range map[string]func(*policy.Policy){
		"zero expiry":    func(p *policy.Policy) { p.MinExpiry = 0 },
		"expiry order":   func(p *policy.Policy) { p.DefaultExpiry = p.MaxExpiry + 1 },
		"expiry range":   func(p *policy.Policy) { p.MaxExpiry = 65536 * time.Second },
		"purpose":        func(p *policy.Policy) { p.MaxPurpose = -1 },
		"moving":         func(p *policy.Policy) { p.Moving = "sometimes" },
		"scope":          func(p *policy.Policy) { p.Scopes = map[schemas.DeviceKind][]string{schemas.Car: {"two words"}} },
		"empty scope":    func(p *policy.Policy) { p.Scopes = map[schemas.DeviceKind][]string{schemas.Car: {""}} },
		"burst":          func(p *policy.Policy) { p.PerPerson = policy.Rate{Every: time.Second} },
		"every":          func(p *policy.Policy) { p.PerDevice = policy.Rate{Burst: 1} },
		"every range":    func(p *policy.Policy) { p.PerProvider = policy.Rate{Burst: 1, Every: 48 * time.Hour} },
		"cool-down":      func(p *policy.Policy) { p.CoolDown.First = -1 },
		"cool-down max":  func(p *policy.Policy) { p.CoolDown.Max = time.Second },
		"cool-down long": func(p *policy.Policy) { p.CoolDown.Max = 25 * time.Hour },
	} {
		p := policy.Default()
		edit(&p)
		if p.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A bucket never lets through more than its burst and what has trickled in, at
// whatever moments it is asked.
func TestRate(t *testing.T) {
	r := policy.Rate{Burst: 3, Every: 10 * time.Second}
	start := time.Unix(1e9, 0)
	var full time.Time
	taken := 0
	for d := time.Duration(0); d < 10*time.Minute; d += 700 * time.Millisecond {
		now := start.Add(d)
		next, wait := r.Take(full, now)
		if wait == 0 {
			taken++
		} else {
			if next != full {
				t.Fatal("a refusal changed the bucket")
			}
			if _, again := r.Take(full, now.Add(wait)); again != 0 {
				t.Fatalf("after the wait of %v it is refused again", wait)
			}
			if _, early := r.Take(full, now.Add(wait-1)); early == 0 {
				t.Fatalf("a wait of %v is too long", wait)
			}
		}
		full = next
		if most := 3 + int(d/r.Every); taken > most {
			t.Fatalf("%d taken in %v, want at most %d", taken, d, most)
		}
	}
	if taken < 60 {
		t.Errorf("%d taken in ten minutes, want about 62", taken)
	}
	if _, wait := (policy.Rate{}).Take(start, start); wait != 0 {
		t.Error("no limit, and yet a wait")
	}
}

func TestCoolDown(t *testing.T) {
	c := policy.CoolDown{First: 30 * time.Second, Max: 3 * time.Minute}
	for denials, want := range []time.Duration{0, 30 * time.Second, time.Minute, 2 * time.Minute, 3 * time.Minute, 3 * time.Minute} {
		if got := c.After(denials); got != want {
			t.Errorf("after %d denials %v, want %v", denials, got, want)
		}
	}
	if c.After(1<<40) != c.Max || (policy.CoolDown{}).After(7) != 0 {
		t.Error("many denials, or no cool-down: wrong")
	}
}

// TestWithin: in no minute more come through than the provider takes, whenever it
// begins, and not needlessly few.
func TestWithin(t *testing.T) {
	for _, c := range []struct {
		rate policy.Rate
		n    int
		want policy.Rate
	}{
		{policy.Rate{}, 500, policy.Rate{Burst: 100, Every: 150 * time.Millisecond}},
		{policy.Rate{}, 3, policy.Rate{Burst: 1, Every: 30 * time.Second}},
		{policy.Rate{Burst: 5, Every: time.Minute}, 5, policy.Rate{Burst: 4, Every: time.Minute}},
		{policy.Rate{Burst: 4, Every: time.Minute}, 5, policy.Rate{Burst: 4, Every: time.Minute}},
		{policy.Rate{Burst: 10, Every: time.Hour}, 5, policy.Rate{Burst: 5, Every: time.Hour}},
		{policy.Rate{Burst: 2, Every: time.Second}, 5, policy.Rate{Burst: 1, Every: 15 * time.Second}},
	} {
		got := c.rate.Within(c.n)
		if got != c.want {
			t.Errorf("%v within %d is %v, want %v", c.rate, c.n, got, c.want)
		}
		if n := mostInAMinute(got); n != c.n && c.rate.Unlimited() || n > c.n {
			t.Errorf("%v lets %d through in a minute, want %d", got, n, c.n)
		}
	}
}

// mostInAMinute asks a full bucket again and again for a minute, both ends included.
func mostInAMinute(r policy.Rate) (taken int) {
	start := time.Unix(1e9, 0)
	var full time.Time
	for now := start; !now.After(start.Add(time.Minute)); {
		next, wait := r.Take(full, now)
		if wait == 0 {
			taken++
		}
		full, now = next, now.Add(wait)
	}
	return taken
}
