package bridge_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// What a request must not say, and what is answered. None of it rings a phone.
func TestRefusedAtOnce(t *testing.T) {
	op := &cibatest.Provider{}
	inWorld(t, op, func(w *world) {
		w.policy.Scopes = map[schemas.DeviceKind][]string{schemas.Car: {"seat", "climate"}, schemas.Till: {"pay"}}
		w.policy.MaxPurpose = 10
		w.policy.Moving = policy.MovingNotDriver
		w.start()
		car := w.car("car-1")
		otherKey, err := schemas.GenerateSealKey()
		if err != nil {
			t.Fatal(err)
		}
		confirm, err := schemas.NewConfirmKey(mtlstest.Key(t).Public())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name string
			edit func(*schemas.SignIn)
			want schemas.Code
			wait bool
		}{
			{"a scope of tills", func(m *schemas.SignIn) { m.Scope = "seat pay" }, schemas.InvalidScope, false},
			{"a kind without scopes", func(m *schemas.SignIn) { m.Device = schemas.Kiosk }, schemas.NotAllowed, false},
			{"too long a purpose", func(m *schemas.SignIn) {
				car.private(m, schemas.Private{LoginHint: "anna@example.com", Purpose: "eleven byte"})
			}, schemas.NotAllowed, false},
			{"the driver of a moving car", func(m *schemas.SignIn) { m.Moving = true }, schemas.NotAllowed, true},
			{"nobody's handle", func(m *schemas.SignIn) { h := schemas.NewHandle(); m.Person, m.Sealed = &h, nil }, schemas.UnknownPerson, false},
			{"two persons", func(m *schemas.SignIn) { h := schemas.NewHandle(); m.Person = &h }, schemas.Malformed, false},
			{"no person", func(m *schemas.SignIn) { car.private(m, schemas.Private{Purpose: "seat"}) }, schemas.Malformed, false},
			{"a sealed part of another request", func(m *schemas.SignIn) { m.Sealed = car.signIn("anna@example.com").Sealed }, schemas.Malformed, false},
			{"a damaged sealed part", func(m *schemas.SignIn) { m.Sealed = m.Sealed[:len(m.Sealed)-1] }, schemas.Malformed, false},
			{"a key of its own", func(m *schemas.SignIn) { m.ConfirmKey = confirm }, schemas.Unsupported, false},
		} {
			t.Log(c.name)
			m := car.signIn("anna@example.com")
			c.edit(m)
			r := car.refused(m, c.want)
			if (r.RetryAfter > 0) != c.wait {
				t.Errorf("%s: retry after %d s", c.name, r.RetryAfter)
			}
			time.Sleep(time.Second)
		}
		m := car.signIn("anna@example.com")
		m.Sealed, err = schemas.SealPrivate(otherKey.Public(), car.id, m.ID, schemas.Private{LoginHint: "anna@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		car.refused(m, schemas.UnknownKey)
		if s := op.Stats(); s.Rang != 0 {
			t.Errorf("%d phones rang", s.Rang)
		}
	})
}

// The passenger of a moving car may, and a purpose reaches the provider.
func TestAllowed(t *testing.T) {
	var params string
	op := &cibatest.Provider{AutoApprove: time.Second, OnRequest: func(r cibatest.Request) {
		params = r.Scope + "; " + r.Params.Get("request_context") + "; " + r.Params.Get("requested_expiry") + "; " + r.Params.Get("acr_values")
	}}
	inWorld(t, op, func(w *world) {
		w.policy.Moving = policy.MovingNotDriver
		w.context = true
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		m.Moving, m.Seat, m.Expiry, m.Scope, m.ACR = true, 3, 30, "seat openid climate", "silver gold"
		car.private(m, schemas.Private{LoginHint: "anna@example.com", Purpose: "seat"})
		car.grant(m)
		if want := `openid seat climate; {"device":"car","seat":3,"moving":true,"purpose":"seat"}; 30; silver gold`; params != want {
			t.Errorf("the provider saw %q, want %q", params, want)
		}
	})
}

// One person has one open request, whichever device asks and however it calls
// them.
func TestAlreadyRinging(t *testing.T) {
	op := &cibatest.Provider{}
	inWorld(t, op, func(w *world) {
		w.start()
		car, desk := w.car("car-1"), w.car("desk-1")
		decideAfter(op, time.Second, true)
		car.grant(car.signIn("anna@example.com"))
		op.OnRequest = nil
		m := car.signIn("")
		car.send(m)
		time.Sleep(30 * time.Second)
		r := desk.refused(desk.signIn("anna@example.com"), schemas.AlreadyRinging)
		if r.RetryAfter < 85 || r.RetryAfter > 90 {
			t.Errorf("retry after %d s, want about 90", r.RetryAfter)
		}
		desk.send(desk.signIn("bela@example.com"))
		time.Sleep(time.Second)
		if n := len(op.Requests()); n != 2 {
			t.Errorf("%d phones ring, want 2", n)
		}
		car.refused(&schemas.Cancel{ID: m.ID}, schemas.Cancelled)
		desk.send(desk.signIn("anna@example.com"))
		time.Sleep(time.Second)
		if s := op.Stats(); s.Rang != 4 {
			t.Errorf("%d pushes, want the desk's after the car has cancelled", s.Rang)
		}
	})
}

func TestDenied(t *testing.T) {
	op := &cibatest.Provider{}
	inWorld(t, op, func(w *world) {
		decideAfter(op, time.Second, false)
		w.start()
		car, other := w.car("car-1"), w.car("car-2")
		want := uint16(30)
		for range 3 {
			r := car.refused(car.signIn("anna@example.com"), schemas.AccessDenied)
			if r.RetryAfter != want {
				t.Errorf("retry after %d s, want %d", r.RetryAfter, want)
			}
			if r := car.refused(car.signIn("anna@example.com"), schemas.TooManyRequests); r.RetryAfter < want-5 || r.RetryAfter > want {
				t.Errorf("while it cools down: retry after %d s, want about %d", r.RetryAfter, want)
			}
			time.Sleep(time.Duration(want) * time.Second)
			want *= 2
		}
		// Others are not concerned: neither people nor devices.
		decideAfter(op, time.Second, true)
		car.grant(car.signIn("bela@example.com"))
		other.grant(other.signIn("anna@example.com"))
		// An approval ends the count.
		car.grant(car.signIn("anna@example.com"))
		decideAfter(op, time.Second, false)
		if r := car.refused(car.signIn("anna@example.com"), schemas.AccessDenied); r.RetryAfter != 30 {
			t.Errorf("after an approval: retry after %d s, want 30", r.RetryAfter)
		}
	})
}

func TestQuotas(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second}
	inWorld(t, op, func(w *world) {
		w.policy.PerPerson = policy.Rate{Burst: 2, Every: time.Minute}
		w.policy.PerDevice = policy.Rate{Burst: 3, Every: 2 * time.Minute}
		w.policy.PerProvider = policy.Rate{Burst: 6, Every: 5 * time.Minute}
		w.start()
		car, desk := w.car("car-1"), w.car("desk-1")
		// A person is known by the hint until it has led to a subject once.
		till := w.car("till-1")
		till.grant(till.signIn("anna@example.com"))
		car.grant(car.signIn("anna@example.com"))
		desk.grant(desk.signIn("anna@example.com"))
		if r := car.refused(car.signIn("anna@example.com"), schemas.TooManyRequests); r.RetryAfter == 0 || r.RetryAfter > 60 {
			t.Errorf("a person: retry after %d s, want up to 60", r.RetryAfter)
		}
		car.grant(car.signIn("bela@example.com"))
		w.stop() // quotas survive
		w.start()
		car.grant(car.signIn("chidi@example.com"))
		if r := car.refused(car.signIn("dora@example.com"), schemas.TooManyRequests); r.RetryAfter < 60 || r.RetryAfter > 120 {
			t.Errorf("a device: retry after %d s, want up to 120", r.RetryAfter)
		}
		desk.grant(desk.signIn("dora@example.com"))
		if r := desk.refused(desk.signIn("emil@example.com"), schemas.Busy); r.RetryAfter < 100 || r.RetryAfter > 600 {
			t.Errorf("the provider: retry after %d s, want up to five minutes, and up to as much again", r.RetryAfter)
		}
		if s := op.Stats(); s.Rang != 6 {
			t.Errorf("%d pushes, want 6", s.Rang)
		}
		time.Sleep(31 * time.Minute)
		if n := w.count("quotas"); n != 0 {
			t.Errorf("%d full buckets are kept", n)
		}
	})
}

// Beyond its limits the bridge stores nothing and asks to come back; the device
// does, and is served.
func TestBusy(t *testing.T) {
	t.Run("open", func(t *testing.T) {
		op := &cibatest.Provider{}
		inWorld(t, op, func(w *world) {
			w.limits = bridge.Limits{Open: 2}
			w.start()
			car := w.car("car-1")
			first := car.signIn("p1@example.com")
			car.send(first)
			car.send(car.signIn("p2@example.com"))
			time.Sleep(time.Second)
			m := car.signIn("p3@example.com")
			if r := car.refused(m, schemas.Busy); r.RetryAfter < 5 || r.RetryAfter > 10 {
				t.Errorf("retry after %d s", r.RetryAfter)
			}
			car.refused(&schemas.Cancel{ID: first.ID}, schemas.Cancelled)
			op.AutoApprove = time.Second
			car.grant(m)
		})
	})
	t.Run("calls", func(t *testing.T) {
		op := &cibatest.Provider{AutoApprove: time.Second, Backchannel: cibatest.Always(cibatest.Delay(5 * time.Second))}
		inWorld(t, op, func(w *world) {
			w.limits = bridge.Limits{Calls: 2}
			w.start()
			car := w.car("car-1")
			for i := range 2 {
				car.send(car.signIn(fmt.Sprintf("p%d@example.com", i)))
			}
			time.Sleep(time.Second)
			m := car.signIn("p3@example.com")
			car.refused(m, schemas.Busy)
			time.Sleep(6 * time.Second)
			car.grant(m)
		})
	})
}

func TestExpired(t *testing.T) {
	op := &cibatest.Provider{}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		m.Expiry = 60
		begun := time.Now()
		car.refused(m, schemas.Expired)
		if d := time.Since(begun); d < 55*time.Second || d > 61*time.Second {
			t.Errorf("refused after %v, want 60 s", d)
		}
		m = car.signIn("anna@example.com")
		m.Expiry = 1 // moved to the policy's minimum
		begun = time.Now()
		car.refused(m, schemas.Expired)
		if d := time.Since(begun); d < 12*time.Second || d > 16*time.Second {
			t.Errorf("refused after %v, want 15 s", d)
		}
	})
}

func TestWrongPerson(t *testing.T) {
	sub := "anna"
	op := &cibatest.Provider{AutoApprove: time.Second, Subject: func(string) (string, bool) { return sub, true }}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		car.grant(car.signIn("anna@example.com"))
		sub = "bela"
		m := car.signIn("")
		car.refused(m, schemas.WrongPerson)
		sub = "anna"
		car.grant(car.signIn("")) // the handle is still good
	})
}

func TestCancel(t *testing.T) {
	op := &cibatest.Provider{}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		cancel := func(m *schemas.SignIn) *schemas.Cancel { return &schemas.Cancel{ID: m.ID} }

		// While it rings: a later approval is of no effect.
		decideAfter(op, 8*time.Second, true)
		m := car.signIn("anna@example.com")
		car.send(m)
		time.Sleep(6 * time.Second)
		car.refused(cancel(m), schemas.Cancelled)
		time.Sleep(time.Minute)
		if s := op.Stats(); s.Redeemed != 0 || w.count("sessions") != 0 {
			t.Errorf("a cancelled request was granted: %+v", s)
		}

		// Before it arrives: it begins nothing.
		m = car.signIn("anna@example.com")
		car.refused(cancel(m), schemas.Cancelled)
		rang := op.Stats().Rang
		car.send(m)
		time.Sleep(time.Minute)
		if n := op.Stats().Rang; n != rang {
			t.Error("a request rang that was cancelled before it arrived")
		}

		// After the grant: the grant stays the answer.
		car.mute = true
		decideAfter(op, time.Second, true)
		m = car.signIn("anna@example.com")
		car.grant(m)
		car.send(cancel(m))
		time.Sleep(time.Minute)
		for _, a := range car.answers(m.ID) {
			if final(a) && outcome(a) != "granted" {
				t.Errorf("a cancel after the grant changed the answer to %s", outcome(a))
			}
		}
	})
}

// While the provider is being called, a cancel counts as well.
func TestCancelDuringCall(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second, Backchannel: cibatest.Always(cibatest.Delay(5 * time.Second))}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		car.send(m)
		time.Sleep(time.Second)
		car.refused(&schemas.Cancel{ID: m.ID}, schemas.Cancelled)
		time.Sleep(time.Minute)
		if s := op.Stats(); s.Rang != 1 || s.Token != 0 {
			t.Errorf("the provider saw %+v, want one push and no poll", s)
		}
	})
}
