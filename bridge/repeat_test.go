package bridge_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/schemas"
)

// A request that is repeated, however often and at whatever moment, rings once
// and always gets the state it is in.
func TestRepeat(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: 32 * time.Second}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		car.mute = true
		m := car.signIn("anna@example.com")
		for range 3 { // also while the provider is being called
			car.send(m)
		}
		time.Sleep(20 * time.Second)
		car.send(m)
		time.Sleep(time.Second)
		answers := car.answers(m.ID)
		first, last := answers[0].(*schemas.Pending), answers[len(answers)-1].(*schemas.Pending)
		if last.Binding != first.Binding {
			t.Errorf("the binding message changed from %q to %q", first.Binding, last.Binding)
		}
		if d := first.ExpiresIn - last.ExpiresIn; d < 19 || d > 21 {
			t.Errorf("20 s later the request expires %d s earlier", d)
		}
		granted := car.await(m.ID, time.Minute)
		car.send(m)
		w.until("the answer again", time.Second, func() bool { return car.answers(m.ID)[len(car.answers(m.ID))-1] != granted })
		if a, b := car.latest(2); !bytes.Equal(a, b) {
			t.Error("a repeated request got another answer")
		}
		if s := op.Stats(); s.Rang != 1 || s.Redeemed != 1 {
			t.Errorf("the provider saw %+v", s)
		}
		for series, want := range map[string]float64{
			"carillon_bridge_pushes_total":                                     1,
			`carillon_bridge_requests_total{kind="sign_in",outcome="granted"}`: 1,
		} {
			if n := gathered(t, w.metrics, series); n != want {
				t.Errorf("%s is %v, want %v", series, n, want)
			}
		}
		if n := gathered(t, w.metrics, `carillon_bridge_pushes_suppressed_total{reason="duplicate"}`); n < 4 {
			t.Errorf("%v duplicates", n)
		}
	})
}

// latest returns the last messages that the device heard.
func (d *device) latest(n int) (a, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.raw[len(d.raw)-n], d.raw[len(d.raw)-1]
}

// A copy of a request that comes after its receipt, or after its answer lapsed,
// begins nothing, as long as it is fresh; afterwards it is too old.
func TestReplayAfterTheEnd(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		car.grant(m)
		n := len(car.answers(m.ID))
		for range 60 {
			time.Sleep(10 * time.Second)
			car.send(m)
		}
		if s := op.Stats(); s.Rang != 1 {
			t.Errorf("a replay rang the phone: %+v", s)
		}
		for _, a := range car.answers(m.ID)[n:] {
			if r, ok := a.(*schemas.Refused); !ok || r.Code != schemas.ClockSkew {
				t.Errorf("a replay was answered with %+v", a)
			}
		}
		w.empty()
	})
}

// The answer is published again, ever more seldom, until the receipt.
func TestPublishAgain(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second, EditTokens: func(m map[string]any) { m["expires_in"] = 3600 }}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		car.mute = true
		m := car.signIn("anna@example.com")
		car.ask(m)
		var gaps []time.Duration
		for n := len(car.answers(m.ID)); len(gaps) < 8; {
			begun := time.Now()
			w.until("the answer again", 6*time.Minute, func() bool { return len(car.answers(m.ID)) > n })
			n++
			gaps = append(gaps, time.Since(begun).Round(time.Second))
		}
		want := []time.Duration{2, 4, 8, 16, 32, 60, 60, 60}
		for i, d := range want {
			if d *= time.Second; gaps[i] < d-time.Second || gaps[i] > d*12/10+time.Second {
				t.Errorf("pauses %v, want about %v s", gaps, want)
				break
			}
		}
		car.send(&schemas.Receipt{ID: m.ID})
		time.Sleep(time.Second)
		n := len(car.answers(m.ID))
		time.Sleep(15 * time.Minute)
		if got := len(car.answers(m.ID)); got != n {
			t.Errorf("published %d times more after the receipt", got-n)
		}
	})
}

// An answer that nobody fetches lapses: a grant with its token, a refusal after
// a while. What is asked then is refused as expired.
func TestLapse(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second, EditTokens: func(m map[string]any) { m["expires_in"] = 900 }}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		car.mute = true
		m := car.signIn("anna@example.com")
		car.ask(m)
		time.Sleep(14 * time.Minute)
		n := len(car.answers(m.ID))
		car.send(m)
		time.Sleep(time.Second)
		if got := car.answers(m.ID); len(got) == n || outcome(got[len(got)-1]) != "granted" {
			t.Errorf("before the token has expired the answer is %v", got[len(got)-1])
		}
		time.Sleep(3 * time.Minute)
		if r := car.refused(m, schemas.Expired); r.Code != schemas.Expired {
			t.Errorf("after that it is %v", r.Code)
		}
		time.Sleep(20 * time.Minute)
		w.empty()
		if n := w.count("sessions"); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// What the broker loses on the way down comes again.
func TestLostAnswer(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		lost := 0
		w.mu.Lock()
		w.lose = func(m schemas.Message) bool {
			if final(m) && lost < 3 {
				lost++
				return true
			}
			return false
		}
		w.mu.Unlock()
		car.grant(car.signIn("anna@example.com"))
		if lost != 3 {
			t.Errorf("lost %d, want 3", lost)
		}
		if n := gathered(t, w.metrics, "carillon_bridge_answers_republished_total"); n < 3 {
			t.Errorf("%v answers were published again", n)
		}
	})
}
