package bridge_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/bridge/store/pgtest"
	"github.com/carillon-iot/carillon/schemas"
)

// A crowd of devices asks at the same time, each for a person of its own.
type crowd struct {
	cars  []*caller
	asked []*schemas.SignIn
}

func (c *cluster) crowd(n int) *crowd {
	c.t.Helper()
	all := new(crowd)
	for i := range n {
		car := c.call(fmt.Sprintf("car-%d", i))
		all.cars, all.asked = append(all.cars, car), append(all.asked, car.signIn(fmt.Sprintf("person%d@example.com", i)))
	}
	for i, car := range all.cars {
		go car.insist(all.asked[i])
	}
	return all
}

// outcomes waits for all final answers and counts them.
func (all *crowd) outcomes() map[string]int {
	counts := make(map[string]int)
	for i, car := range all.cars {
		car.c.t.Helper()
		counts[outcome(car.await(all.asked[i].ID))]++
	}
	return counts
}

// upTo returns times of thinking at random.
func upTo(d time.Duration) func() time.Duration { return func() time.Duration { return rand.N(d) } }

// Two bridges share the work, whatever the broker gives to whom.
func TestReplicasShareTheWork(t *testing.T) {
	c := newCluster(t, pgtest.New(t, pgtest.Config{}).DSN(), upTo(4*time.Second))
	a, b := c.start(), c.start()
	const n = 40
	if got := c.crowd(n).outcomes(); got["granted"] != n {
		t.Errorf("outcomes %v", got)
	}
	c.once()
	c.until("all receipts are recorded, at whichever bridge", func() bool {
		counts, err := a.store.Count(t.Context())
		return err == nil && counts[store.Answered] == 0
	})
	if x, y := a.polls.Load(), b.polls.Load(); x < (x+y)/5 || y < (x+y)/5 {
		t.Errorf("one bridge has polled %d times, the other %d times", x, y)
	}
}

// What a bridge leaves that is killed, another one goes on with.
func TestReplicaKilled(t *testing.T) {
	server := pgtest.New(t, pgtest.Config{})
	c := newCluster(t, server.DSN(), upTo(6*time.Second))
	a := c.start()
	c.start()
	const n = 40
	all := c.crowd(n)
	c.until("all are rung", func() bool { return c.op.Stats().Rang == n })
	c.kill(a)
	runOut(t, server)
	// What it was just being told by the provider is interrupted.
	if got := all.outcomes(); got["granted"]+got["interrupted"] != n || got["granted"] < n*3/4 {
		t.Errorf("outcomes %v", got)
	}
	c.once()
}

// runOut lets the claims of a dead bridge run out, as they do after 50 seconds:
// those that stay as they are, because nobody works on them.
func runOut(t *testing.T, server *pgtest.Server) {
	t.Helper()
	db, err := sql.Open("pgx", server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const held = `state = 'ringing' OR state = 'waiting' AND asking = 1`
	if _, err := db.Exec(`CREATE TABLE held AS SELECT device, id, due_at FROM requests WHERE ` + held); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second) // in which a bridge that is alive has its answers
	if _, err := db.Exec(`UPDATE requests r SET due_at = 1 FROM held h WHERE r.device = h.device AND r.id = h.id AND r.due_at = h.due_at AND (` + held + `)`); err != nil {
		t.Fatal(err)
	}
}

// What a device tells one bridge, every other one knows.
func TestReplicasKnowTheSame(t *testing.T) {
	c := newCluster(t, pgtest.New(t, pgtest.Config{}).DSN(), func() time.Duration { return time.Hour })
	a, b := c.start(), c.start()
	car := c.call("car-1")
	m := car.signIn("anna@example.com")
	car.tell(a, m)
	c.until("pending", func() bool { return len(car.answers(m.ID)) > 0 })
	car.tell(b, m) // a repeat: b does not ring, and says what a has said
	c.until("pending again", func() bool { return len(car.answers(m.ID)) > 1 })
	first, again := car.answers(m.ID)[0].(*schemas.Pending), car.answers(m.ID)[1].(*schemas.Pending)
	if first.Binding != again.Binding {
		t.Errorf("one bridge shows %q, the other %q", first.Binding, again.Binding)
	}
	other := c.call("car-2")
	second := other.signIn("anna@example.com") // who is rung by a
	other.tell(b, second)
	if got := outcome(other.await(second.ID)); got != "already_ringing" {
		t.Errorf("a second request for the person: %s", got)
	}
	car.tell(b, &schemas.Cancel{ID: m.ID})
	if got := outcome(car.await(m.ID)); got != "cancelled" {
		t.Errorf("cancelled at the other bridge: %s", got)
	}
	car.tell(a, m)
	third := other.signIn("anna@example.com")
	other.tell(a, third)
	c.until("pending", func() bool { return len(other.answers(third.ID)) > 0 })
	if rang := c.op.Stats().Rang; rang != 2 {
		t.Errorf("%d phones rang, want the two that were asked for one after the other", rang)
	}
}

// A ping of the provider may come to any bridge.
func TestReplicaPinged(t *testing.T) {
	c := newCluster(t, pgtest.New(t, pgtest.Config{}).DSN(), func() time.Duration { return time.Second })
	c.op.Delivery = "ping"
	a, b := c.start(), c.start()
	cfg := b.bridge.Notifications()
	cfg.Client = b.client.Load()
	c.op.Endpoint = must(ciba.NewNotificationHandler(cfg))
	car := c.call("car-1")
	m := car.signIn("anna@example.com")
	car.tell(a, m)
	if got := outcome(car.await(m.ID)); got != "granted" {
		t.Errorf("outcome %s", got)
	}
	if s := c.op.Stats(); s.Token != 1 {
		t.Errorf("%d polls, want the one that the ping asked for", s.Token)
	}
}

// When a primary dies that had a synchronous replica, the bridges go on with the
// replica, and nobody is rung twice.
func TestFailover(t *testing.T) {
	ctx := context.Background()
	primary := pgtest.New(t, pgtest.Config{})
	standby, err := primary.Replica(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Stop)
	if err := primary.Synchronous(ctx); err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, pgtest.DSN(primary, standby), upTo(8*time.Second))
	c.start()
	c.start()
	const n = 40
	all := c.crowd(n)
	c.until("some are rung", func() bool { return c.op.Stats().Rang > n/2 })
	primary.Kill()
	time.Sleep(time.Second) // of polls and sign-ins without a database
	if err := standby.Promote(ctx); err != nil {
		t.Fatal(err)
	}
	runOut(t, standby)
	if got := all.outcomes(); got["granted"]+got["interrupted"] != n || got["granted"] < n/2 {
		t.Errorf("outcomes %v", got)
	}
	c.once()
}
