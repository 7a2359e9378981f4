package bridge_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// A crash is the death of a bridge at a step of one sign-in, and what follows
// from it once another process has taken over the database.
type crash struct {
	step     string
	nth      int64  // occurrence of the step, from 1
	deny     bool   // the person says no
	cancel   bool   // the device withdraws the request after 3 s
	delivery string // "" for poll
	outcome  string
	pushes   int
	tokens   int // token responses
}

// crashes is the table in docs/bridge.md. The person answers after 7 s, polls
// happen after 5 and 10 s.
var crashes = []crash{
	{step: "accepted", nth: 1, outcome: "granted", pushes: 1, tokens: 1},
	{step: "ringing", nth: 1, outcome: "interrupted", pushes: 0},
	{step: "rung", nth: 1, outcome: "interrupted", pushes: 1},
	{step: "waiting", nth: 1, outcome: "granted", pushes: 1, tokens: 1},
	{step: "claimed", nth: 1, outcome: "granted", pushes: 1, tokens: 1},
	{step: "polled", nth: 1, outcome: "granted", pushes: 1, tokens: 1},
	{step: "claimed", nth: 2, outcome: "granted", pushes: 1, tokens: 1},
	{step: "polled", nth: 2, outcome: "interrupted", pushes: 1, tokens: 1},
	{step: "polled", nth: 2, deny: true, outcome: "access_denied", pushes: 1},
	{step: "pinged", nth: 1, delivery: "ping", outcome: "granted", pushes: 1, tokens: 1},
	{step: "pushed", nth: 1, delivery: "push", outcome: "expired", pushes: 1, tokens: 1},
	{step: "answered", nth: 1, outcome: "granted", pushes: 1, tokens: 1},
	{step: "answered", nth: 1, deny: true, outcome: "access_denied", pushes: 1},
	{step: "answered", nth: 1, cancel: true, outcome: "cancelled", pushes: 1},
	{step: "receipted", nth: 1, outcome: "granted", pushes: 1, tokens: 1},
}

// notifiedCrashes are those at steps that all ways of delivery have in common:
// the table holds for them, too. The ping or push comes after 7 s.
var notifiedCrashes = []crash{
	{step: "accepted", nth: 1, delivery: "ping", outcome: "granted", pushes: 1, tokens: 1},
	{step: "ringing", nth: 1, delivery: "ping", outcome: "interrupted", pushes: 0},
	{step: "rung", nth: 1, delivery: "ping", outcome: "interrupted", pushes: 1},
	{step: "waiting", nth: 1, delivery: "ping", outcome: "granted", pushes: 1, tokens: 1},
	{step: "claimed", nth: 1, delivery: "ping", outcome: "granted", pushes: 1, tokens: 1},
	{step: "polled", nth: 1, delivery: "ping", outcome: "interrupted", pushes: 1, tokens: 1},
	{step: "polled", nth: 1, delivery: "ping", deny: true, outcome: "access_denied", pushes: 1},
	{step: "answered", nth: 1, delivery: "ping", outcome: "granted", pushes: 1, tokens: 1},
	{step: "receipted", nth: 1, delivery: "ping", outcome: "granted", pushes: 1, tokens: 1},
	{step: "accepted", nth: 1, delivery: "push", outcome: "granted", pushes: 1, tokens: 1},
	{step: "ringing", nth: 1, delivery: "push", outcome: "interrupted", pushes: 0},
	{step: "rung", nth: 1, delivery: "push", outcome: "interrupted", pushes: 1, tokens: 1},
	{step: "waiting", nth: 1, delivery: "push", outcome: "granted", pushes: 1, tokens: 1},
	{step: "answered", nth: 1, delivery: "push", outcome: "granted", pushes: 1, tokens: 1},
	{step: "answered", nth: 1, delivery: "push", deny: true, outcome: "access_denied", pushes: 1},
	{step: "answered", nth: 1, delivery: "push", cancel: true, outcome: "cancelled", pushes: 1, tokens: 1},
	{step: "receipted", nth: 1, delivery: "push", outcome: "granted", pushes: 1, tokens: 1},
}

// durable is the state in which a crash at each step leaves the request; "" where
// nothing is left of it.
var durable = map[string]string{
	"accepted": "", "ringing": "ringing", "rung": "ringing", "waiting": "waiting", "claimed": "waiting", "polled": "waiting",
	"pinged": "waiting", "pushed": "waiting", "answered": "answered", "receipted": "done",
	"renewing": "renewing", "refreshed": "renewing",
}

func (c crash) String() string {
	name := fmt.Sprintf("%s-%d%s", c.step, c.nth, c.delivery)
	if c.deny {
		name += "-deny"
	}
	if c.cancel {
		name += "-cancel"
	}
	return name
}

func TestCrash(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range slices.Concat(crashes, notifiedCrashes) {
		seen[c.step] = true
		t.Run(c.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.run(t) })
		})
	}
	wantSeen(t, seen, bridge.Steps())
}

func wantSeen(t *testing.T, seen map[string]bool, steps []string) {
	t.Helper()
	for _, step := range steps {
		if !seen[step] {
			t.Errorf("no crash at step %q is tested", step)
		}
	}
}

// The table for operators has exactly these rows, in this order.
func TestCrashTable(t *testing.T) {
	var rows []crash
	state := ""
	for _, cells := range docTable(t, "| crash after |") {
		state = wantDurable(t, cells, state)
		gets, _, _ := strings.Cut(cells[2], ":")
		pushes, err := strconv.Atoi(cells[3])
		if err != nil {
			t.Fatalf("%v in %q", err, cells)
		}
		rows = append(rows, crash{step: strings.Split(cells[0], "`")[1], outcome: gets, pushes: pushes})
	}
	var tested []crash
	for _, c := range crashes {
		row := crash{step: c.step, outcome: c.outcome, pushes: c.pushes}
		if c.step != "claimed" || c.nth == 1 { // the second claim is the same row
			tested = append(tested, row)
		}
	}
	if !reflect.DeepEqual(rows, tested) {
		t.Errorf("docs/bridge.md has\n%+v\ntested is\n%+v", rows, tested)
	}
}

// wantDurable checks what a row of a table says to be durable, and returns it: the
// row below may say that it is the same.
func wantDurable(t *testing.T, cells []string, above string) string {
	t.Helper()
	step, state := strings.Split(cells[0], "`")[1], above
	if !strings.HasPrefix(cells[1], "the same") {
		_, state, _ = strings.Cut(cells[1], "as `")
		state, _, _ = strings.Cut(state, "`")
	}
	if want, ok := durable[step]; !ok || state != want {
		t.Errorf("docs/bridge.md says that %q leaves %q, want %q", step, state, want)
	}
	return state
}

// docTable returns the cells of the table in docs/bridge.md that has this head.
func docTable(t *testing.T, head string) (rows [][]string) {
	t.Helper()
	doc, err := os.ReadFile("../docs/bridge.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), head)
	table, _, _ = strings.Cut(table, "\n\n")
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

func (c crash) run(t *testing.T) {
	op := &cibatest.Provider{Delivery: c.delivery}
	w := newWorld(t, op)
	defer w.end()
	decideAfter(op, 7*time.Second, !c.deny)
	var occurred atomic.Int64
	w.step = func(step string) {
		if step != c.step || w.dead.Load() {
			return
		}
		if occurred.Add(1) == c.nth {
			w.kill()
		}
	}
	w.start()
	car := w.car("car-1")
	m := car.signIn("anna@example.com")
	go car.insist(m, c.cancel)
	if err := <-w.ended; err == nil {
		t.Fatal("the bridge ended in good order")
	}
	w.ended <- nil
	w.stop()
	time.Sleep(3 * time.Second)
	w.start()
	car.await(m.ID, 10*time.Minute)

	// Long after, the answer is still the same, and nothing else has happened.
	time.Sleep(store.Tombstone + time.Minute)
	c.check(car, m.ID)
	if s := op.Stats(); s.Early != 0 {
		t.Errorf("the provider saw %+v", s)
	}
	w.empty()
}

// check compares what has come of a request with the table.
func (c crash) check(car *device, id schemas.ID) {
	w, got := car.w, car.final(id)
	w.t.Helper()
	for _, a := range car.answers(id) {
		if final(a) && outcome(a) != outcome(got) {
			w.t.Errorf("two final answers: %s and %s", outcome(got), outcome(a))
		}
	}
	s := w.op.Stats()
	if outcome(got) != c.outcome || s.Rang != c.pushes || s.Redeemed != c.tokens {
		w.t.Errorf("outcome %s, %d pushes, %d token responses; want %s, %d, %d\n%s",
			outcome(got), s.Rang, s.Redeemed, c.outcome, c.pushes, c.tokens, w.logs.String())
	}
	if g, ok := got.(*schemas.Granted); ok {
		car.open(g)
	}
	if s.Overlapping != 0 {
		w.t.Errorf("the provider saw %+v", s)
	}
}

// decideAfter has the person answer each request after a while.
func decideAfter(op *cibatest.Provider, after time.Duration, yes bool) {
	op.OnRequest = func(r cibatest.Request) {
		time.AfterFunc(after, func() {
			if yes {
				op.Approve(r.AuthReqID)
			} else {
				op.Deny(r.AuthReqID)
			}
		})
	}
}

// insist repeats a request as an agent does, until there is a final answer.
func (d *device) insist(m schemas.Message, cancel bool) {
	begun := time.Now()
	for pause := 2 * time.Second; d.final(m.RequestID()) == nil; pause = min(2*pause, 30*time.Second) {
		if !cancel || time.Since(begun) < 3*time.Second {
			d.send(issuedNow(m))
		} else {
			d.send(&schemas.Cancel{ID: m.RequestID()})
		}
		select {
		case <-time.After(pause):
		case <-d.w.over:
			return
		}
	}
}

func issuedNow(m schemas.Message) schemas.Message {
	switch m := m.(type) {
	case *schemas.SignIn:
		again := *m
		again.IssuedAt = schemas.Seconds(time.Now())
		return &again
	case *schemas.Renew:
		again := *m
		again.IssuedAt = schemas.Seconds(time.Now())
		return &again
	}
	return m
}

func outcome(m schemas.Message) string {
	switch m := m.(type) {
	case *schemas.Granted:
		return "granted"
	case *schemas.Refused:
		return m.Code.String()
	}
	return m.Kind().String()
}

// empty checks that the store has forgotten all requests.
func (w *world) empty() {
	w.t.Helper()
	if n := w.count("requests"); n != 0 {
		w.t.Errorf("%d requests are left", n)
	}
}

// A bridge that dies again and again, at any moment, still answers everybody,
// and rings nobody twice.
func TestCrashAnyTime(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { crashOften(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func crashOften(t *testing.T, random *rand.Rand) {
	op := &cibatest.Provider{Delivery: []string{"poll", "ping", "push"}[random.IntN(3)]}
	w := newWorld(t, op)
	defer w.end()
	var mu sync.Mutex // guards rang and random
	rang := make(map[string]int)
	upTo := func(d time.Duration) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(random.Int64N(int64(d)))
	}
	op.OnRequest = func(r cibatest.Request) {
		time.AfterFunc(upTo(20*time.Second), func() { op.Approve(r.AuthReqID) })
		mu.Lock()
		defer mu.Unlock()
		rang[r.Hint]++
	}
	var dying atomic.Int64 // steps to go
	w.step = func(string) {
		if dying.Add(-1) == 0 {
			w.kill()
		}
	}
	w.start()
	var cars []*device
	var asked []*schemas.SignIn
	for i := range 10 {
		car := w.car(fmt.Sprintf("car-%d", i))
		m := car.signIn(fmt.Sprintf("person%d@example.com", i))
		cars, asked = append(cars, car), append(asked, m)
	}
	dying.Store(1 + int64(upTo(60)))
	for i, car := range cars {
		go car.insist(asked[i], false)
	}
	for round := range 6 {
		select {
		case <-w.ended:
			w.ended <- nil
			w.stop()
			time.Sleep(upTo(10 * time.Second))
			dying.Store(1 + int64(upTo(60)))
			if round == 5 {
				dying.Store(1 << 40)
			}
			w.start()
		case <-time.After(time.Minute):
			dying.Store(1 << 40)
		}
	}
	for i, car := range cars {
		m := car.await(asked[i].ID, 10*time.Minute)
		o := outcome(m)
		missed := o == "expired" && op.Delivery == "push" // while there was no bridge
		if o != "granted" && o != "interrupted" && !missed {
			t.Errorf("car %d with %s: %s", i, op.Delivery, o)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for who, n := range rang {
		if n > 1 {
			t.Errorf("the phone of %s rang %d times", who, n)
		}
	}
}
