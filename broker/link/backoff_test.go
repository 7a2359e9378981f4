package link_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/broker/link"
)

// gaps returns the pauses between the attempts.
func gaps(dials []time.Time) (d []time.Duration) {
	for i := 1; i < len(dials); i++ {
		d = append(d, dials[i].Sub(dials[i-1]))
	}
	return d
}

func TestBackoffGrowsWithJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const least, most = time.Second, time.Minute
		b := &broker{}
		l := run(t, link.Config{Dial: b.dial, MinBackoff: least, MaxBackoff: most})
		time.Sleep(3 * time.Hour)

		got := gaps(b.dialed())
		if len(got) < 100 {
			t.Fatalf("%d attempts in three hours", len(got)+1)
		}
		ceiling, different, long := least, map[time.Duration]bool{}, 0
		for i, d := range got {
			if d <= 0 || d > ceiling {
				t.Errorf("pause %d is %v, want up to %v", i, d, ceiling)
			}
			ceiling = min(2*ceiling, most)
			different[d] = true
			if d > most/2 {
				long++
			}
		}
		if len(different) < len(got)*9/10 {
			t.Errorf("%d different pauses of %d: no jitter", len(different), len(got))
		}
		if long < len(got)/4 { // half of them expected
			t.Errorf("%d of %d pauses longer than %v: no growth", long, len(got), most/2)
		}
		if s := l.Status(); s.Failures != len(got)+1 || s.Err == nil {
			t.Errorf("status %+v after %d attempts", s, len(got)+1)
		}
	})
}

// Two clients with one identity end each other's connection: every attempt
// succeeds and yet the pauses must grow.
func TestShortConnectionsAreNotStable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{serve: func(p *peer) { p.accept() }} // hello and goodbye
		run(t, link.Config{Dial: b.dial, MinBackoff: time.Second, MaxBackoff: time.Minute})
		time.Sleep(time.Hour)
		if n := len(b.dialed()); n > 240 { // 120 expected: half a minute each
			t.Errorf("%d connections in an hour", n)
		}
	})
}

func TestStableConnectionStartsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const least, most = time.Second, time.Minute
		b := &broker{}
		j := make(journal, 10)
		run(t, link.Config{Dial: b.dial, MinBackoff: least, MaxBackoff: most, OnUp: j.up, OnDown: j.down})
		time.Sleep(time.Hour)
		b.answer(good)
		for range 20 {
			j.expect(t, "up")
			time.Sleep(most)
			b.kill()
			j.expect(t, "down")
			lost := time.Now()
			j.expect(t, "up")
			if d := time.Since(lost); d > least {
				t.Fatalf("back %v after a stable connection, want at most %v", d, least)
			}
			time.Sleep(most)
			b.kill()
			j.expect(t, "down")
		}
	})
}

func TestWakeEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{}
		j := make(journal, 10)
		l := run(t, link.Config{Dial: b.dial, MinBackoff: time.Hour, MaxBackoff: time.Hour, OnUp: j.up, OnDown: j.down})
		synctest.Wait()
		b.answer(good)
		start := time.Now()
		l.Wake()
		j.expect(t, "up")
		if d := time.Since(start); d != 0 {
			t.Errorf("up %v after Wake", d)
		}
		// A wish from while the link was up is not kept for the next pause.
		l.Wake()
		b.answer(nil)
		b.kill()
		j.expect(t, "down")
		time.Sleep(time.Second)
		if n := len(b.dialed()); n > 2 {
			t.Errorf("%d attempts, want the next one after the pause", n)
		}
	})
}
