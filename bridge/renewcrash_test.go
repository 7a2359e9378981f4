package bridge_test

import (
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// A renewalCrash is the death of a bridge at a step of one renewal.
type renewalCrash struct {
	step      string
	fails     bool // the provider answers 503
	outcome   string
	refreshes int
	kept      bool // the session can be renewed after it
}

// renewalCrashes is the second table in docs/bridge.md.
var renewalCrashes = []renewalCrash{
	{step: "accepted", outcome: "granted", refreshes: 1, kept: true},
	{step: "renewing", outcome: "interrupted"},
	{step: "refreshed", outcome: "interrupted", refreshes: 1},
	{step: "refreshed", fails: true, outcome: "interrupted"},
	{step: "answered", outcome: "granted", refreshes: 1, kept: true},
	{step: "answered", fails: true, outcome: "provider_unavailable", kept: true},
	{step: "receipted", outcome: "granted", refreshes: 1, kept: true},
}

func (c renewalCrash) String() string {
	name := c.step
	if c.fails {
		name += "-fails"
	}
	return name
}

func TestRenewalCrash(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range renewalCrashes {
		seen[c.step] = true
		t.Run(c.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.run(t) })
		})
	}
	wantSeen(t, seen, bridge.RenewalSteps())
}

// The table for operators has exactly these rows, in this order.
func TestRenewalCrashTable(t *testing.T) {
	var rows, tested []renewalCrash
	state := ""
	for _, cells := range docTable(t, "| crash of a renewal after |") {
		state = wantDurable(t, cells, state)
		gets, _, _ := strings.Cut(cells[2], ":")
		refreshes, err := strconv.Atoi(cells[3])
		if err != nil {
			t.Fatalf("%v in %q", err, cells)
		}
		rows = append(rows, renewalCrash{step: strings.Split(cells[0], "`")[1], outcome: gets, refreshes: refreshes, kept: cells[4] == "goes on"})
	}
	for _, c := range renewalCrashes {
		c.fails = false
		tested = append(tested, c)
	}
	if !reflect.DeepEqual(rows, tested) {
		t.Errorf("docs/bridge.md has\n%+v\ntested is\n%+v", rows, tested)
	}
}

// provider is one that renews, but for the crash's own renewal if that fails.
func (c renewalCrash) provider() *cibatest.Provider {
	op := renewing()
	if c.fails {
		op.Token = cibatest.Sequence(nil, cibatest.Busy(503, time.Second))
	}
	return op
}

func (c renewalCrash) run(t *testing.T) {
	w := newWorld(t, c.provider())
	defer w.end()
	w.policy.SessionLife = map[schemas.DeviceKind]time.Duration{schemas.Car: 24 * time.Hour}
	var armed atomic.Bool
	w.step = func(step string) {
		if step == c.step && armed.CompareAndSwap(true, false) {
			w.kill()
		}
	}
	w.start()
	car := w.car("car-1")
	session := car.enter("anna@example.com")
	time.Sleep(time.Second) // its receipt
	armed.Store(true)
	m := car.renew(session)
	go car.insist(m, false)
	if err := <-w.ended; err == nil {
		t.Fatal("the bridge ended in good order")
	}
	w.ended <- nil
	w.stop()
	time.Sleep(3 * time.Second)
	w.start()
	car.await(m.ID, 10*time.Minute)
	time.Sleep(time.Minute)
	c.check(car, m.ID, session)
	time.Sleep(store.Tombstone + time.Minute)
	w.empty()
}

// check compares what has come of a renewal, and comes of the session after it,
// with the table.
func (c renewalCrash) check(car *device, id, session schemas.ID) {
	w, got := car.w, car.final(id)
	w.t.Helper()
	if g, ok := got.(*schemas.Granted); ok {
		car.open(g)
	}
	s := w.op.Stats()
	if outcome(got) != c.outcome || s.Refreshed != c.refreshes {
		w.t.Errorf("outcome %s, %d refreshes; want %s, %d\n%s", outcome(got), s.Refreshed, c.outcome, c.refreshes, w.logs.String())
	}
	if revoked := s.Revocation > 0; revoked == c.kept {
		w.t.Errorf("the provider was told to forget the session: %t", revoked)
	}
	if c.kept {
		car.regrant(session)
	} else {
		car.refused(car.renew(session), schemas.UnknownSession)
	}
	if s := w.op.Stats(); s.Rang != 1 {
		w.t.Errorf("the phone rang %d times", s.Rang)
	}
}
