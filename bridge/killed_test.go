package bridge_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/store/pgtest"
	"github.com/carillon-iot/carillon/schemas"
)

// The rows of both tables hold for bridges that are processes and die of kill -9,
// and what they have left is what the table says. What the rows say about the long
// run is tested where time costs nothing, in TestCrash.
func TestKilled(t *testing.T) {
	inRealTime(t)
	kill(t, newSQLite)
}

// On PostgreSQL the claims of the dead have to run out, which takes a minute.
func TestKilledOnPostgres(t *testing.T) {
	inRealTime(t)
	server := pgtest.New(t, pgtest.Config{Settings: map[string]string{"max_connections": "600"}})
	kill(t, func(t *testing.T) database {
		dsn, err := server.Database(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return database{"pgx", dsn}
	})
}

func inRealTime(t *testing.T) {
	if testing.Short() {
		t.Skip("takes real time")
	}
	t.Parallel()
}

// kill runs all rows at once, however few the processors: they mostly wait.
func kill(t *testing.T, db func(*testing.T) database) {
	seen := make(map[string]bool)
	var rows sync.WaitGroup
	for _, c := range slices.Concat(crashes, notifiedCrashes) {
		seen[c.step] = true
		rows.Go(func() {
			t.Run(c.String(), func(t *testing.T) { c.kill(newParent(t, &cibatest.Provider{Delivery: c.delivery}, db(t))) })
		})
	}
	for _, c := range renewalCrashes {
		seen[c.step] = true
		rows.Go(func() {
			t.Run("renewal-"+c.String(), func(t *testing.T) { c.kill(newParent(t, c.provider(), db(t))) })
		})
	}
	rows.Wait()
	wantSeen(t, seen, slices.Concat(bridge.Steps(), bridge.RenewalSteps()))
}

func (c crash) kill(p *parent) {
	car := p.device("car-1")
	m := car.signIn("anna@example.com")
	if m.Expiry = 300; c.outcome == "expired" { // which is waited for
		m.Expiry = 20
	}
	thinking := c.think(car, m.ID)
	p.start(c.step, c.nth)
	car.hello()
	go car.insist(m, c.cancel)
	p.mourn()
	p.wantLeft(m.ID, durable[c.step])
	p.start("", 0)
	car.await(m.ID, 0)
	thinking.Wait()
	p.settle()
	p.stop()
	c.check(car, m.ID)
}

// think has the person answer at an occasion instead of after a while, so that no
// row depends on how fast the machine is: after the first poll, and where there
// are none, when the device has heard of the request. Where it is withdrawn, that
// is first.
func (c crash) think(car *device, id schemas.ID) *sync.WaitGroup {
	op, thinking := car.w.op, new(sync.WaitGroup)
	decide := op.Approve
	if c.deny {
		decide = op.Deny
	}
	if c.delivery == "" && !c.cancel {
		op.Token = cibatest.Sequence(func(rw http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
			truth(rw, r)
			decide(r.PostForm.Get("auth_req_id"))
		})
		return thinking
	}
	op.OnRequest = func(r cibatest.Request) {
		thinking.Go(func() {
			for !c.cancel && len(car.answers(id)) == 0 || c.cancel && car.final(id) == nil {
				select {
				case <-time.After(10 * time.Millisecond):
				case <-car.w.over:
					return
				}
			}
			decide(r.AuthReqID)
		})
	}
	return thinking
}

func (c renewalCrash) kill(p *parent) {
	p.policy.SessionLife = map[schemas.DeviceKind]time.Duration{schemas.Car: 24 * time.Hour}
	p.start("", 0)
	car := p.car("car-1")
	session := car.enter("anna@example.com")
	p.settle()
	p.stop()
	p.start(c.step, 1)
	m := car.renew(session)
	go car.insist(m, false)
	p.mourn()
	p.wantLeft(m.ID, durable[c.step])
	p.start("", 0)
	car.await(m.ID, 0)
	if !c.kept {
		p.until("the provider is told", 0, func() bool { return p.op.Stats().Revocation > 0 })
	}
	p.settle()
	c.check(car, m.ID, session)
	p.settle()
	p.stop()
}
