package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent/clock"
)

// machine is a machine's clock that is off by an amount.
type machine struct{ off time.Duration }

func (m *machine) now() time.Time { return time.Now().Add(m.off) }

const day = 24 * time.Hour

func near(t *testing.T, what string, got, want time.Time) {
	t.Helper()
	if d := got.Sub(want); d.Abs() > time.Minute {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestPlausibleClockIsUsedAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(nil, clock.State{Floor: time.Now().Add(-30 * day).Unix()})
		near(t, "now", c.Now(), time.Now())
		if !c.Sure() {
			t.Error("not sure of a plausible clock")
		}
	})
}

func TestClockOf1970(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		floor := time.Now().Add(-30 * day)
		m := &machine{off: time.Until(time.Unix(100, 0))}
		c := clock.New(m.now, clock.State{Floor: floor.Unix()})
		near(t, "before anything is known", c.Now(), floor)
		if c.Sure() {
			t.Error("sure of 1970")
		}
		time.Sleep(time.Hour)
		near(t, "an hour later", c.Now(), floor.Add(time.Hour))

		c.Told(time.Now())
		near(t, "told", c.Now(), time.Now())
		if !c.Sure() {
			t.Error("not sure of what a bridge said")
		}
		time.Sleep(9 * day)
		near(t, "nine days after", c.Now(), time.Now())
		near(t, "for certificates", c.Verify(), time.Now())
	})
}

// The next boots: with a clock that kept running, one that began in 1970
// again, and one that was put right.
func TestOffsetAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, off := range map[string]time.Duration{"behind": -400 * day, "ahead": 400 * day} {
			m := &machine{off: off}
			c := clock.New(m.now, clock.State{})
			c.Told(time.Now())
			kept := c.State()
			time.Sleep(day)

			near(t, name+", kept running", clock.New(m.now, kept).Now(), time.Now())
			near(t, name+", put right", clock.New(nil, kept).Now(), time.Now())
			reset := &machine{off: -30 * 365 * day}
			near(t, name+", reset", clock.New(reset.now, kept).Now(), time.Now().Add(-day))
			if clock.New(reset.now, kept).Sure() {
				t.Errorf("%s: sure of a clock that was reset", name)
			}
		}
	})
}

func TestClockPutRightWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{off: -400 * day}
		c := clock.New(m.now, clock.State{})
		c.Told(time.Now())
		time.Sleep(time.Hour)
		m.off = 0
		near(t, "now", c.Now(), time.Now())
	})
}

// A clock that was a few minutes late is taken to be so again, rather than to
// have been put right.
func TestSmallOffsetIsSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{off: -6 * time.Minute}
		c := clock.New(m.now, clock.State{})
		c.Told(time.Now())
		kept := c.State()
		time.Sleep(day)
		near(t, "after a restart", clock.New(m.now, kept).Now(), time.Now())
	})
}

// A time beyond the end of the own certificate is not believed.
func TestCeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now().Add(-day)
		m := &machine{off: 400 * day}
		c := clock.New(m.now, clock.State{})
		c.Certificate(begin, time.Now().Add(30*day))
		near(t, "for certificates", c.Verify(), begin)
		c.Told(time.Now())
		near(t, "told", c.Verify(), time.Now())
	})
}

// The monotonic clock stands still while a machine is suspended; its wall
// clock does not.
func TestSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{off: -400 * day}
		c := clock.New(m.now, clock.State{})
		told := time.Now()
		c.Told(told)
		m.off += 5 * time.Hour
		near(t, "after five hours of sleep", c.Now(), told.Add(5*time.Hour))
	})
}

func TestFloorNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(nil, clock.State{})
		ahead := time.Now().Add(20 * day)
		if !c.Passed(ahead) {
			t.Error("twenty days are no news")
		}
		if c.Passed(ahead.Add(-day)) || c.Passed(ahead.Add(time.Minute)) {
			t.Error("a minute, or the past, is news")
		}
		near(t, "now", c.Now(), ahead)
		c.Told(time.Now())
		near(t, "now, put right", c.Now(), time.Now())
		near(t, "for certificates", c.Verify(), ahead)
		near(t, "stored", time.Unix(c.State().Floor, 0), ahead)
	})
}
