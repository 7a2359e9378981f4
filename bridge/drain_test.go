package bridge_test

import (
	"database/sql"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/schemas"
)

// A bridge that is told to stop lets the calls on their way come back and
// records them; the next goes on.
func TestDrain(t *testing.T) {
	op := &cibatest.Provider{
		AutoApprove: 9 * time.Second,
		LongPoll:    8 * time.Second,
		Backchannel: cibatest.Always(cibatest.Delay(3 * time.Second)),
	}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		car.send(m)
		time.Sleep(time.Second)
		begun := time.Now()
		w.stop() // while the provider is being called
		if d := time.Since(begun); d > bridge.DrainTime {
			t.Errorf("stopping took %v", d)
		}
		w.start()
		car.send(m)
		time.Sleep(5 * time.Second)
		w.stop() // while a poll is held
		w.start()
		if got := car.await(m.ID, time.Minute); outcome(got) != "granted" {
			t.Errorf("answer %s, want a grant\n%s", outcome(got), w.logs.String())
		}
		if s := op.Stats(); s.Rang != 1 || s.Overlapping != 0 || s.Redeemed != 1 {
			t.Errorf("the provider saw %+v", s)
		}
	})
}

// While it drains, a bridge says so, takes receipts and cancels, and tells whoever
// asks for something new to come back. Of that nothing is stored.
func TestDrainRefuses(t *testing.T) {
	op := &cibatest.Provider{Backchannel: cibatest.Sequence(nil, nil, cibatest.Delay(5*time.Second))}
	op.OnRequest = func(r cibatest.Request) {
		if strings.HasPrefix(r.Hint, "anna") {
			op.Approve(r.AuthReqID)
		}
	}
	inWorld(t, op, func(w *world) {
		w.start()
		b := w.bridge.Load()
		if err := b.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		mute, car, late := w.car("car-1"), w.car("car-2"), w.car("car-3")
		mute.mute = true
		granted := mute.signIn("anna@example.com")
		mute.grant(granted)
		waiting := car.signIn("bela@example.com")
		car.send(waiting)
		ringing := car.signIn("chidi@example.com")
		car.send(ringing)
		time.Sleep(time.Second)

		begun := time.Now()
		w.cancel()
		synctest.Wait()
		if err := b.Ready(); err == nil || !strings.Contains(err.Error(), "draining") {
			t.Errorf("ready: %v, want that it drains", err)
		}
		tooLate := late.signIn("dora@example.com")
		if r := late.refused(tooLate, schemas.Busy); r.RetryAfter < 5 || r.RetryAfter > 10 {
			t.Errorf("come back after %d s, want 5 to 10", r.RetryAfter)
		}
		mute.send(&schemas.Receipt{ID: granted.ID})
		car.refused(&schemas.Cancel{ID: waiting.ID}, schemas.Cancelled)
		car.send(waiting) // repeated
		if err := <-w.ended; err != nil {
			t.Fatal(err)
		}
		w.ended <- nil
		if took := time.Since(begun); took < 3*time.Second || took > 5*time.Second {
			t.Errorf("ended after %v, want when the call came back", took)
		}
		if n := len(car.answers(ringing.ID)); n != 1 {
			t.Errorf("%d answers to the one that rang, want that it is pending", n)
		}
		for series, want := range map[string]float64{
			`requests_busy_total{reason="draining"}`: 1, `stage_seconds{stage="receipt"}`: 2, "pushes_total": 3,
		} {
			if n := gathered(t, w.metrics, "carillon_bridge_"+series); n != want {
				t.Errorf("%s is %v, want %v", series, n, want)
			}
		}
		if err := b.Ready(); err == nil {
			t.Error("ready after the end")
		}
		w.stop()
		w.start()
		for _, r := range op.Requests() {
			op.Approve(r.AuthReqID)
		}
		car.await(ringing.ID, time.Minute)
	})
}

// What does not come back in time is cut short, and nothing is lost but the
// outcome of that call.
func TestDrainIsBounded(t *testing.T) {
	op := &cibatest.Provider{Backchannel: cibatest.Always(cibatest.Hang())}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		car.send(m)
		time.Sleep(time.Second)
		begun := time.Now()
		w.stop()
		if took := time.Since(begun); took != bridge.DrainTime {
			t.Errorf("stopping took %v, want %v", took, bridge.DrainTime)
		}
		w.start()
		if got := outcome(car.await(m.ID, time.Minute)); got != "interrupted" {
			t.Errorf("answer %s, want interrupted", got)
		}
	})
}

// A bridge that is told to end before it has begun ends in good order.
func TestDrainAtOnce(t *testing.T) {
	inWorld(t, &cibatest.Provider{}, func(w *world) {
		w.start()
		w.stop()
		w.edit = func(*bridge.Config) { w.cancel() } // just before Run
		w.start()
		w.stop()
	})
}

// A bridge whose database takes no writes says so, until it does.
func TestReady(t *testing.T) {
	inWorld(t, &cibatest.Provider{}, func(w *world) {
		w.start()
		b := w.bridge.Load()
		db, err := sql.Open("sqlite", "file:"+w.db)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
			t.Fatal(err)
		}
		w.until("not ready", time.Minute, func() bool {
			err := b.Ready()
			return err != nil && strings.Contains(err.Error(), "housekeeping fails")
		})
		if _, err := db.Exec("ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		w.until("ready", time.Minute, func() bool { return b.Ready() == nil })
	})
}
