package bridge_test

import (
	"crypto/rand"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest/hostile"
	"github.com/carillon-iot/carillon/schemas"
)

// TestHostileProvider plays the list of misbehaviours, each against a whole
// bridge, and looks at them from the device of a person who is paired.
func TestHostileProvider(t *testing.T) {
	empty := emptyStore(t)
	for _, g := range hostile.Groups() {
		for _, row := range g.Rows {
			t.Run(row.Name, func(t *testing.T) {
				t.Parallel()
				good := &cibatest.Provider{AutoApprove: time.Second, Delivery: row.Provider.Delivery}
				inWorld(t, good, func(w *world) {
					if err := os.WriteFile(w.db, empty, 0o600); err != nil {
						t.Fatal(err)
					}
					w.play(g, row)
				})
			})
		}
	}
}

// emptyStore returns the file of a store that nothing has happened in. To make one
// takes longer than most sign-ins.
func emptyStore(t *testing.T) (file []byte) {
	t.Helper()
	inWorld(t, &cibatest.Provider{}, func(w *world) {
		w.start()
		w.stop()
		var err error
		if file, err = os.ReadFile(w.db); err != nil {
			t.Fatal(err)
		}
	})
	return file
}

// play pairs a person while the provider is good, has a hostile one take its
// place, and lets the person sign in again.
func (w *world) play(g hostile.Group, row hostile.Row) {
	w.t.Helper()
	w.start()
	car := w.car("car-1")
	car.grant(car.signIn(hostile.Person))

	row.Provider.ClientSecret = rand.Text()
	hc := hostile.HTTPClient(row.Provider)
	defer hc.CloseIdleConnections()
	w.meet(row.Provider, hc)
	w.connect()
	w.logs.reset()
	for range row.Others {
		other := w.car("car-2")
		other.send(other.signIn(hostile.Other))
		time.Sleep(time.Second)
	}
	m := car.signIn("")
	m.ACR = strings.Join(hostile.Request().ACRValues, " ")
	asked := time.Now()
	answer := car.ask(m)
	took := time.Since(asked)
	w.wantAnswer(g, answer)
	w.wantTime(g, row, took)
	time.Sleep(45 * time.Second) // and then nothing more
	w.wantSilence(car, m.ID, answer)
	w.wantStats(g, row)
	w.wantCleanLog(g, row, car, m.ID)
}

// wantAnswer checks the code, and that a refusal says when to ask again if that
// may help.
func (w *world) wantAnswer(g hostile.Group, answer schemas.Message) {
	w.t.Helper()
	if got := outcome(answer); got != g.Outcome.Code {
		w.t.Errorf("the device is told %s, want %s\n%s", got, g.Outcome.Code, w.logs.String())
	}
	if r, ok := answer.(*schemas.Refused); ok && r.Code == schemas.ProviderUnavailable && (r.RetryAfter < 1 || r.RetryAfter > 60) {
		w.t.Errorf("retry after %d s, want 1 to 60", r.RetryAfter)
	}
}

// wantTime checks that the answer comes when it should, which is before the device
// asks for it.
func (w *world) wantTime(g hostile.Group, row hostile.Row, took time.Duration) {
	w.t.Helper()
	const slack = 100 * time.Millisecond
	want := row.After
	if g.Stage <= hostile.Asked {
		want = min(want, bridge.CallTimeout)
	}
	if took < want || took > want+slack {
		w.t.Errorf("answered after %v, want %v", took, want)
	}
	if latest := w.policy.DefaultExpiry + ciba.LastAnswer + slack; took > latest {
		w.t.Errorf("answered after %v, when the device had given up waiting after %v", took, latest)
	}
}

// wantSilence checks that there is one final answer, and that nothing more is to
// be done about the sign-in.
func (w *world) wantSilence(car *device, id schemas.ID, answer schemas.Message) {
	w.t.Helper()
	for _, m := range car.answers(id) {
		if final(m) && outcome(m) != outcome(answer) {
			w.t.Errorf("two final answers: %s and %s", outcome(answer), outcome(m))
		}
	}
	if n := w.count("requests WHERE device = 'car-1' AND state IN ('ringing', 'waiting', 'answered')"); n != 0 {
		w.t.Errorf("%d requests are open, or wait for a receipt", n)
	}
}

func (w *world) wantStats(g hostile.Group, row hostile.Row) {
	w.t.Helper()
	asked := 1 + row.Others
	if g.Stage == hostile.Unasked {
		asked = 0
	}
	s := row.Provider.Stats()
	if got := row.Provider.Replies(); !slices.Equal(got, row.Replies) {
		w.t.Errorf("notifications were answered with %v, want %v", got, row.Replies)
	}
	if row.Provider.Delivery == "push" && s.Token > 0 {
		w.t.Errorf("the token endpoint was asked %d times by a client that is pushed to", s.Token)
	}
	if s.Backchannel != asked || s.Rang > asked || s.Redeemed != row.Redeemed || s.Early+s.Overlapping != 0 || s.AfterEnd != row.AfterEnd {
		w.t.Errorf("the provider saw %+v, want %d authentication requests, %d redeemed, and all polls in their time", s, asked, row.Redeemed)
	}
}

// wantCleanLog looks for secrets in all that was logged at any level, and for an
// error if, and only if, an operator must act.
func (w *world) wantCleanLog(g hostile.Group, row hostile.Row, car *device, id schemas.ID) {
	w.t.Helper()
	log := w.logs.String()
	secrets := append(row.Provider.Secrets(), hostile.Person, car.handle.String())
	for _, secret := range secrets {
		if strings.Contains(log, secret) {
			w.t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
	if got := strings.Contains(log, "level=ERROR"); got != g.Outcome.Alarm {
		w.t.Errorf("there are errors in the log: %t, want %t\n%s", got, g.Outcome.Alarm, log)
	}
	if !strings.Contains(log, id.String()) {
		w.t.Errorf("the log does not mention the request: this test sees nothing\n%s", log)
	}
}
