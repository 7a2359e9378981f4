package agent_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
)

// A link that is down is told to try again while somebody waits, and is left to
// itself at all other times.
func TestHurriesTheLinkWhileSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards hurried, which the loop adds to
		var hurried []time.Time
		c := newCar(t, agenttest.NewBridge(t), func(cfg *agent.Config) {
			cfg.Hurry = func() {
				mu.Lock()
				defer mu.Unlock()
				hurried = append(hurried, time.Now())
			}
		})
		all := func() []time.Time {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(hurried)
		}
		count := func() int { return len(all()) }
		quiet := func(when string) {
			t.Helper()
			before := count()
			time.Sleep(5 * time.Minute)
			if n := count() - before; n != 0 {
				t.Errorf("%s, it is hurried %d times", when, n)
			}
		}
		quiet("connected and idle")
		c.Disconnected(nil)
		quiet("down and idle")
		c.Connected()
		synctest.Wait()
		c.Disconnected(nil)
		synctest.Wait() // from now on the link has some seconds for itself, unless somebody asks

		id, err := c.SignIn(t.Context(), agent.Request{Scope: "seat", LoginHint: "anna@example.com", Expiry: 10 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(); n != 1 {
			t.Errorf("hurried %d times at once", n)
		}
		time.Sleep(3 * time.Minute)
		if n := count(); n < 18 || n > 37 {
			t.Errorf("hurried %d times in three minutes", n)
		}
		when := all()
		for i := 2; i < len(when); i++ {
			if a, b := when[i-1].Sub(when[i-2]), when[i].Sub(when[i-1]); a == b {
				t.Errorf("twice a pause of %v: no jitter", a)
			}
		}

		c.Connected()
		time.Sleep(time.Second)
		c.wantState(id, agent.StateRinging)
		quiet("ringing")
		before := count()
		c.Disconnected(nil)
		time.Sleep(4 * time.Second)
		if n := count() - before; n != 0 {
			t.Errorf("hurried %d times in the first moments without a connection, which are the link's", n)
		}
		time.Sleep(6 * time.Second)
		if n := count() - before; n != 1 {
			t.Errorf("hurried %d times in ten seconds, while a phone rings", n)
		}

		c.stop()
		before = count()
		c.load()
		time.Sleep(10 * time.Second)
		if n := count() - before; n != 1 {
			t.Errorf("hurried %d times in the ten seconds after a restart without a connection", n)
		}
		if err := c.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		quiet("withdrawn")
	})
}
