package bridge_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/metrics"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// What is pushed ends the sign-in as a poll would have, and the token endpoint
// is never asked. What else may be pushed is in TestHostileProvider.
func TestPush(t *testing.T) {
	set := func(member string, value any) func(cibatest.Notification) []cibatest.Notification {
		return func(n cibatest.Notification) []cibatest.Notification {
			return []cibatest.Notification{n.With(member, value)}
		}
	}
	for _, c := range []struct {
		name  string
		op    *cibatest.Provider
		no    bool // the person denies
		want  string
		retry uint16
	}{
		{"approved", &cibatest.Provider{}, false, "granted", 0},
		{"approved, with a refresh token", &cibatest.Provider{RefreshTokens: true}, false, "granted", 0},
		{"denied", &cibatest.Provider{}, true, "access_denied", 30},
		{"expired", &cibatest.Provider{EditNotification: set("error", "expired_token")}, true, "expired", 0},
		{"failed", &cibatest.Provider{EditNotification: set("error", "transaction_failed")}, true, "provider_error", 5},
		{"nothing ever", &cibatest.Provider{EditNotification: func(cibatest.Notification) []cibatest.Notification { return nil }}, false, "expired", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			op := c.op
			op.Delivery = "push"
			inWorld(t, op, func(w *world) {
				decideAfter(op, 7*time.Second, !c.no)
				w.start()
				car, begun := w.car("car-1"), time.Now()
				answer := car.ask(car.signIn("anna@example.com"))
				if got := outcome(answer); got != c.want {
					t.Errorf("%s, want %s\n%s", got, c.want, w.logs.String())
				}
				limit := 8 * time.Second
				if op.Replies() == nil { // nobody has told the bridge
					limit = 2*time.Minute + time.Second
				}
				if took := time.Since(begun); took > limit {
					t.Errorf("the answer took %v", took)
				}
				switch m := answer.(type) {
				case *schemas.Granted:
					car.open(m)
				case *schemas.Refused:
					if m.RetryAfter != c.retry {
						t.Errorf("retry after %d s, want %d", m.RetryAfter, c.retry)
					}
				}
				for _, status := range op.Replies() {
					if status != 204 {
						t.Errorf("the push was answered with %d", status)
					}
				}
				if n := op.Stats().Token; n != 0 {
					t.Errorf("the token endpoint was asked %d times", n)
				}
			})
		})
	}
}

// The pause after a pushed denial is that after a polled one.
func TestPushDenied(t *testing.T) {
	op := &cibatest.Provider{Delivery: "push"}
	inWorld(t, op, func(w *world) {
		decideAfter(op, time.Second, false)
		w.start()
		car := w.car("car-1")
		for _, want := range []uint16{30, 60} {
			if r := car.refused(car.signIn("anna@example.com"), schemas.AccessDenied); r.RetryAfter != want {
				t.Errorf("retry after %d s, want %d", r.RetryAfter, want)
			}
			car.refused(car.signIn("anna@example.com"), schemas.TooManyRequests)
			time.Sleep(time.Duration(want) * time.Second)
		}
	})
}

func TestPushWrongPerson(t *testing.T) {
	sub := "anna"
	op := &cibatest.Provider{Delivery: "push", AutoApprove: time.Second, Subject: func(string) (string, bool) { return sub, true }}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		car.grant(car.signIn("anna@example.com"))
		sub = "bela"
		car.refused(car.signIn(""), schemas.WrongPerson)
		if n := w.count("sessions"); n != 1 {
			t.Errorf("%d sessions", n)
		}
	})
}

func TestPushToRevokedDevice(t *testing.T) {
	op := &cibatest.Provider{Delivery: "push"}
	inWorld(t, op, func(w *world) {
		decideAfter(op, 7*time.Second, true)
		var bad atomic.Bool
		w.edit = func(c *bridge.Config) { c.Revoked = func(*x509.Certificate) bool { return bad.Load() } }
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		car.send(m)
		time.Sleep(time.Second)
		bad.Store(true)
		if got := outcome(car.await(m.ID, time.Minute)); got != "not_allowed" || w.count("sessions") != 0 {
			t.Errorf("a revoked device was answered with %s", got)
		}
	})
}

// A push for what was cancelled is taken, so that it does not come again, and of
// no effect.
func TestPushAfterCancel(t *testing.T) {
	op := &cibatest.Provider{Delivery: "push"}
	inWorld(t, op, func(w *world) {
		decideAfter(op, 7*time.Second, true)
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		car.send(m)
		time.Sleep(time.Second)
		car.refused(&schemas.Cancel{ID: m.ID}, schemas.Cancelled)
		time.Sleep(10 * time.Second)
		wantReplies(t, op, 204)
		if w.count("sessions") != 0 || outcome(car.final(m.ID)) != "cancelled" {
			t.Error("a cancelled sign-in was granted")
		}
	})
}

// However often and wherever a push comes, there is one grant.
func TestPushTwice(t *testing.T) {
	op := &cibatest.Provider{Delivery: "push"}
	inWorld(t, op, func(w *world) {
		kept := keep(op)
		decideAfter(op, time.Second, true)
		w.start()
		cfg := w.config()
		cfg.Metrics = metrics.New()
		second, err := bridge.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		car.send(m)
		time.Sleep(2 * time.Second)
		push := kept.get()[0]
		elsewhere := w.endpoint(second)
		statuses := make(chan int, 20)
		for range 5 {
			go func() { statuses <- op.Send(push) }()
			go func() { statuses <- serve(t, elsewhere, push) }()
		}
		for range 10 {
			if status := <-statuses; status != 204 {
				t.Errorf("answered with %d", status)
			}
		}
		if got := outcome(car.await(m.ID, time.Minute)); got != "granted" {
			t.Fatal(got)
		}
		time.Sleep(time.Minute)
		if status := op.Send(push); status != 204 {
			t.Errorf("after the receipt: answered with %d", status)
		}
		grants := 0
		for _, a := range car.answers(m.ID) {
			if g, ok := a.(*schemas.Granted); ok {
				grants++
				car.open(g)
			}
		}
		if w.count("sessions") != 1 || w.count("handles") != 1 || grants == 0 {
			t.Errorf("%d sessions, %d handles, %d grants", w.count("sessions"), w.count("handles"), grants)
		}
		const series = `carillon_bridge_requests_total{kind="sign_in",outcome="granted"}`
		if a, b := gathered(t, w.metrics, series), gathered(t, cfg.Metrics, series); a+b != 1 {
			t.Errorf("granted %v and %v times", a, b)
		}
		time.Sleep(store.Tombstone)
		if status := op.Send(push); status != 401 {
			t.Errorf("after it was forgotten: answered with %d", status)
		}
	})
}

// A push that comes before the acknowledgement cannot be checked. The provider
// is told to bring it again, and then it counts.
func TestPushBeforeAcknowledgement(t *testing.T) {
	op := &cibatest.Provider{Delivery: "push"}
	inWorld(t, op, func(w *world) {
		var sent collection[cibatest.Notification]
		op.EditNotification = func(n cibatest.Notification) []cibatest.Notification {
			sent.add(n)
			return []cibatest.Notification{n}
		}
		op.OnRequest = func(r cibatest.Request) { op.Approve(r.AuthReqID) }
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		car.send(m)
		time.Sleep(time.Second)
		op.Send(sent.get()[0])
		if got := outcome(car.await(m.ID, time.Minute)); got != "granted" {
			t.Error(got)
		}
		wantReplies(t, op, 503, 204)
	})
}

// A push for another sign-in, or by a stranger, neither ends one nor spoils it.
func TestPushForged(t *testing.T) {
	op := &cibatest.Provider{Delivery: "push"}
	inWorld(t, op, func(w *world) {
		kept := keep(op)
		decideAfter(op, time.Second, true)
		w.start()
		car, other := w.car("car-1"), w.car("car-2")
		a, b := car.signIn("anna@example.com"), other.signIn("bela@example.com")
		car.send(a)
		time.Sleep(100 * time.Millisecond)
		other.send(b)
		time.Sleep(2 * time.Second)
		first, second := kept.get()[0], kept.get()[1]
		for name, n := range map[string]cibatest.Notification{
			"tokens of another's request": second.WithHeader("Authorization", first.Header.Get("Authorization")),
			"another's token":             first.WithHeader("Authorization", second.Header.Get("Authorization")),
			"no token":                    first.WithHeader("Authorization", ""),
		} {
			if status := op.Send(n); status != 401 {
				t.Errorf("%s: answered with %d", name, status)
			}
		}
		if car.final(a.ID) != nil || other.final(b.ID) != nil {
			t.Fatal("a forged push has ended a sign-in")
		}
		op.Send(first)
		op.Send(second)
		for d, m := range map[*device]*schemas.SignIn{car: a, other: b} {
			if got := outcome(d.await(m.ID, time.Minute)); got != "granted" {
				t.Error(got)
			}
		}
	})
}

// What a dying bridge could not record it has not taken: the next one does.
func TestPushAgainAfterCrash(t *testing.T) {
	op := &cibatest.Provider{Delivery: "push"}
	inWorld(t, op, func(w *world) {
		kept := keep(op)
		decideAfter(op, time.Second, true)
		w.policy.CoolDown = policy.CoolDown{}
		w.step = func(step string) {
			if step == "pushed" {
				w.kill()
			}
		}
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		car.send(m)
		time.Sleep(2 * time.Second)
		push := kept.get()[0]
		if status := op.Send(push); status != 503 {
			t.Errorf("a dying bridge answered with %d", status)
		}
		w.stop()
		w.step = nil
		w.start()
		if status := op.Send(push); status != 204 {
			t.Errorf("its successor answered with %d", status)
		}
		if got := outcome(car.await(m.ID, time.Minute)); got != "granted" {
			t.Error(got)
		}
	})
}

// A bridge that comes back with another provider believes the first no more, which
// still has its tokens.
func TestNotifiedByOtherProvider(t *testing.T) {
	for _, mode := range []string{"ping", "push"} {
		op := &cibatest.Provider{Delivery: mode}
		inWorld(t, op, func(w *world) {
			kept := keep(op)
			decideAfter(op, time.Second, true)
			w.start()
			car := w.car("car-1")
			m := car.signIn("anna@example.com")
			car.send(m)
			time.Sleep(2 * time.Second)
			w.stop()
			w.edit = func(c *bridge.Config) { c.Issuer = "https://other.example.com" }
			w.start()
			if status := op.Send(kept.get()[0]); status != 401 {
				t.Errorf("%s: answered with %d", mode, status)
			}
			if got := outcome(car.await(m.ID, 3*time.Minute)); got != "interrupted" {
				t.Errorf("%s: %s", mode, got)
			}
		})
	}
}

// A bridge that comes back with another mode of delivery does not ask about what
// it was to be told, and is not told what it was to ask about.
func TestOtherDelivery(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"poll", "push", "interrupted"},
		{"push", "poll", "expired"},
	} {
		op := &cibatest.Provider{Delivery: c.before}
		inWorld(t, op, func(w *world) {
			w.start()
			car := w.car("car-1")
			m := car.signIn("anna@example.com")
			car.send(m)
			time.Sleep(time.Second)
			w.stop()
			op.Delivery = c.after
			w.start()
			if got := outcome(car.await(m.ID, 3*time.Minute)); got != c.want {
				t.Errorf("from %s to %s: %s, want %s", c.before, c.after, got, c.want)
			}
			if n := op.Stats().Token; n != 0 {
				t.Errorf("from %s to %s: asked %d times", c.before, c.after, n)
			}
		})
	}
}

// serve brings a notification to another handler than the provider's Endpoint.
func serve(t *testing.T, h http.Handler, n cibatest.Notification) int {
	body, err := json.Marshal(n.Body)
	if err != nil {
		t.Error(err)
	}
	r := httptest.NewRequest(n.Method, "/", bytes.NewReader(body))
	r.Header = n.Header.Clone()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}
