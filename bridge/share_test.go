package bridge_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/store/pgtest"
	"github.com/carillon-iot/carillon/schemas"
)

// calls returns one of the numbers that a bridge exports of its polls.
func (r *replica) calls(t *testing.T, what string) int {
	t.Helper()
	return int(gathered(t, r.metrics, `carillon_bridge_provider_calls_`+what+`{call="token"}`))
}

// shares has bridges look for each other and checks how many polls each may have
// on their way.
func (c *cluster) shares(want int, bridges ...*replica) {
	c.t.Helper()
	for i, r := range bridges {
		if err := r.bridge.Tidy(c.t.Context()); err != nil {
			c.t.Fatal(err)
		}
		if n := r.calls(c.t, "limit"); n != want {
			c.t.Errorf("bridge %d of %d may have %d polls on their way, want %d", i+1, len(bridges), n, want)
		}
	}
}

// silent makes it so long since a dead bridge was heard of.
func silent(t *testing.T, server *pgtest.Server, r *replica, since time.Duration) {
	t.Helper()
	db, err := sql.Open("pgx", server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	kid := schemas.KeyIDOf(r.leaf)
	_, err = db.Exec(`UPDATE bridges SET seen_at = 1000 * extract(epoch FROM clock_timestamp())::bigint - $1 WHERE kid = $2`, since.Milliseconds(), kid[:])
	if err != nil {
		t.Fatal(err)
	}
}

// However many bridges there are, no more polls are at the provider than one may
// have. What a dead one had, the others take.
func TestReplicasShareThePolls(t *testing.T) {
	server := pgtest.New(t, pgtest.Config{})
	c := newCluster(t, server.DSN(), func() time.Duration { return time.Hour })
	c.op.LongPoll = 500 * time.Millisecond
	const limit = 4
	c.limits.Polls = limit
	a := c.start()
	c.crowd(5 * limit) // many more than may be asked about at once
	reached := func() bool { return c.atOnce.largest() >= limit }
	c.until("one bridge makes as many polls as may be", reached)

	b := c.start()
	c.shares(limit/2, a, b)
	c.until("what one has begun alone is over", func() bool { return a.calls(t, "in_flight") <= limit/2 })
	if most := c.atOnce.largest(); most > limit+limit/2 {
		t.Errorf("%d polls at once when a bridge has joined, want %d at most", most, limit+limit/2)
	}
	c.atOnce.reset()
	polled := func(r *replica) func() bool {
		enough := r.polls.Load() + 10
		return func() bool { return r.polls.Load() >= enough }
	}
	both := []func() bool{polled(a), polled(b)}
	c.until("either polls", func() bool { return both[0]() && both[1]() })
	if most := c.atOnce.largest(); most != limit {
		t.Errorf("two bridges have made %d polls at once, want %d", most, limit)
	}
	if strings.Contains(c.logs.String(), "the store fails") {
		t.Errorf("a claim has failed\n%s", c.logs.String())
	}

	c.kill(b)
	silent(t, server, b, 30*time.Second) // it may yet be heard of
	c.shares(limit/2, a)
	silent(t, server, b, 40*time.Second)
	c.shares(limit, a)
	c.until("what the dead one has begun is over", func() bool { return b.calls(t, "in_flight") == 0 })
	c.atOnce.reset()
	c.until("the one that is left makes as many polls as may be", reached)
	enough := polled(a)
	c.until("it polls on", enough)
	if most := c.atOnce.largest(); most != limit {
		t.Errorf("one bridge has made %d polls at once, want %d", most, limit)
	}
	c.once()
}

// More bridges than polls have one each.
func TestShareIsOneAtLeast(t *testing.T) {
	c := newCluster(t, pgtest.New(t, pgtest.Config{}).DSN(), upTo(time.Second))
	c.limits.Polls = 1
	a, b := c.start(), c.start()
	c.shares(1, a, b)
}
