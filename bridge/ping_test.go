package bridge_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// A collection is filled by the provider while the test looks at it.
type collection[T any] struct {
	mu  sync.Mutex
	all []T
}

func (c *collection[T]) add(v T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, v)
}

func (c *collection[T]) get() []T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// keep has a provider send nothing, and returns where its notifications are kept.
func keep(op *cibatest.Provider) *collection[cibatest.Notification] {
	kept := new(collection[cibatest.Notification])
	op.EditNotification = func(n cibatest.Notification) []cibatest.Notification {
		kept.add(n)
		return nil
	}
	return kept
}

func wantReplies(t *testing.T, op *cibatest.Provider, want ...int) {
	t.Helper()
	if got := op.Replies(); !slices.Equal(got, want) {
		t.Errorf("notifications were answered with %v, want %v", got, want)
	}
}

// A ping has the provider asked once, at once; until then it is left alone.
func TestPing(t *testing.T) {
	for name, c := range map[string]struct {
		decide func(*cibatest.Provider, string) bool
		want   string
	}{
		"approved": {(*cibatest.Provider).Approve, "granted"},
		"denied":   {(*cibatest.Provider).Deny, "access_denied"},
		"expired":  {(*cibatest.Provider).Expire, "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			op := &cibatest.Provider{Delivery: "ping", SlowDown: true}
			inWorld(t, op, func(w *world) {
				op.OnRequest = func(r cibatest.Request) { time.AfterFunc(30*time.Second, func() { c.decide(op, r.AuthReqID) }) }
				w.start()
				car, begun := w.car("car-1"), time.Now()
				if got := outcome(car.ask(car.signIn("anna@example.com"))); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
				if took := time.Since(begun); took > 30*time.Second+300*time.Millisecond {
					t.Errorf("the answer took %v", took)
				}
				wantReplies(t, op, 204)
				if s := op.Stats(); s.Token != 1 || s.Early != 0 {
					t.Errorf("the provider saw %+v", s)
				}
				if n := gathered(t, w.metrics, `carillon_bridge_provider_notifications_total{kind="ping"}`); n != 1 {
					t.Errorf("%v pings were counted", n)
				}
			})
		})
	}
}

// A ping that is lost makes the sign-in slow, and nothing else.
func TestPingLost(t *testing.T) {
	op := &cibatest.Provider{Delivery: "ping", SlowDown: true}
	inWorld(t, op, func(w *world) {
		keep(op)
		decideAfter(op, 7*time.Second, true)
		w.start()
		car, begun := w.car("car-1"), time.Now()
		car.grant(car.signIn("anna@example.com"))
		if took := time.Since(begun).Round(time.Second); took != 45*time.Second || op.Stats().Token != 1 {
			t.Errorf("granted after %v and %d polls", took, op.Stats().Token)
		}
	})
}

// A ping that comes while a poll is on its way is not forgotten when that poll
// brings nothing.
func TestPingDuringPoll(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		time.Sleep(5 * time.Second)
		cibatest.OAuthError(400, "authorization_pending")(w, r, truth)
	}
	op := &cibatest.Provider{Delivery: "ping", Token: cibatest.Sequence(slow)}
	inWorld(t, op, func(w *world) {
		decideAfter(op, 47*time.Second, true)
		w.start()
		car, begun := w.car("car-1"), time.Now()
		car.grant(car.signIn("anna@example.com"))
		if took := time.Since(begun); took < 50*time.Second || took > 50*time.Second+300*time.Millisecond {
			t.Errorf("granted after %v", took)
		}
		if s := op.Stats(); s.Token != 2 || s.Overlapping != 0 || s.Early != 0 {
			t.Errorf("the provider saw %+v", s)
		}
	})
}

// A ping may be faster than the acknowledgement.
func TestPingBeforeAcknowledgement(t *testing.T) {
	op := &cibatest.Provider{Delivery: "ping"}
	inWorld(t, op, func(w *world) {
		op.OnRequest = func(r cibatest.Request) { op.Approve(r.AuthReqID) }
		w.start()
		car, begun := w.car("car-1"), time.Now()
		car.grant(car.signIn("anna@example.com"))
		if took := time.Since(begun); took > time.Second {
			t.Errorf("granted after %v", took)
		}
		wantReplies(t, op, 204)
	})
}

// Whoever sends pings without end has the provider asked once more, and then as
// often as a poll may.
func TestPingsReplayed(t *testing.T) {
	op := &cibatest.Provider{Delivery: "ping", SlowDown: true}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		car.send(m)
		w.until("rings", time.Second, func() bool { return len(op.Requests()) == 1 })
		r := op.Requests()[0]
		for range 400 {
			if status := op.Send(r.Ping()); status != 204 {
				t.Fatalf("answered with %d", status)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if s := op.Stats(); s.Token > 9 || s.Early != 0 {
			t.Errorf("400 pings in 40 s led to %+v, want a request every 5 s", s)
		}
		op.Approve(r.AuthReqID)
		if got := outcome(car.await(m.ID, time.Minute)); got != "granted" {
			t.Error(got)
		}
		if status := op.Send(r.Ping()); status != 204 { // the sign-in is over
			t.Errorf("answered with %d", status)
		}
	})
}

// A ping that proves nothing has no effect.
func TestPingForged(t *testing.T) {
	op := &cibatest.Provider{Delivery: "ping", EditNotification: func(cibatest.Notification) []cibatest.Notification { return nil }}
	inWorld(t, op, func(w *world) {
		w.start()
		car, other := w.car("car-1"), w.car("car-2")
		car.send(car.signIn("anna@example.com"))
		other.send(other.signIn("bela@example.com"))
		w.until("ring", time.Second, func() bool { return len(op.Requests()) == 2 })
		time.Sleep(time.Second)
		rang := op.Requests()
		first, second := rang[0].Ping(), rang[1].Ping()
		token := first.Header.Get("Authorization")
		for name, n := range map[string]cibatest.Notification{
			"another's auth_req_id": first.With("auth_req_id", second.Request.AuthReqID),
			"another's token":       first.WithHeader("Authorization", second.Header.Get("Authorization")),
			"an unknown request":    first.With("auth_req_id", "unknown"),
			"no token":              first.WithHeader("Authorization", ""),
			"a guessed token":       first.WithHeader("Authorization", "Bearer "+strings.Repeat("x", 43)),
			"a changed token":       first.WithHeader("Authorization", token[:len(token)-1]+"_"),
			"a cut token":           first.WithHeader("Authorization", token[:strings.Index(token, ".")+1]),
		} {
			if status := op.Send(n); status != 401 {
				t.Errorf("%s: answered with %d", name, status)
			}
		}
		time.Sleep(30 * time.Second)
		if n := op.Stats().Token; n != 0 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
}

// A bridge that comes back between acknowledgement and ping, with a new key in
// its ring, understands the ping. One that is away when it comes finds out.
func TestPingAfterRestart(t *testing.T) {
	for name, c := range map[string]struct {
		decided, back, granted time.Duration
		replies                []int
	}{
		"before the ping": {20 * time.Second, 10 * time.Second, 20 * time.Second, []int{204}},
		"after the ping":  {20 * time.Second, 25 * time.Second, 45 * time.Second, []int{502}},
	} {
		t.Run(name, func(t *testing.T) {
			op := &cibatest.Provider{Delivery: "ping", SlowDown: true}
			inWorld(t, op, func(w *world) {
				decideAfter(op, c.decided, true)
				w.start()
				car, begun := w.car("car-1"), time.Now()
				m := car.signIn("anna@example.com")
				car.send(m)
				w.until("rings", time.Second, func() bool { return len(op.Requests()) == 1 })
				time.Sleep(time.Second)
				w.kill()
				w.stop()
				var err error
				if w.keys, err = store.NewKeyring(bytes.Repeat([]byte{8}, store.KeySize), bytes.Repeat([]byte{7}, store.KeySize)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Until(begun.Add(c.back)))
				w.start()
				if got := outcome(car.await(m.ID, time.Minute)); got != "granted" {
					t.Fatal(got)
				}
				if took := time.Since(begun).Round(time.Second); took != c.granted {
					t.Errorf("granted after %v, want %v", took, c.granted)
				}
				wantReplies(t, op, c.replies...)
			})
		})
	}
}

// The provider learns neither device nor request from what it is to prove itself
// with, and neither disk nor log have it.
func TestNotificationTokenSaysNothing(t *testing.T) {
	op := &cibatest.Provider{Delivery: "ping", AutoApprove: time.Second}
	inWorld(t, op, func(w *world) {
		var asked collection[string]
		op.OnRequest = func(r cibatest.Request) { asked.add(r.Params.Get("client_notification_token")) }
		w.start()
		car := w.car("car-1")
		ids := []schemas.ID{}
		for range 2 {
			m := car.signIn("anna@example.com")
			car.grant(m)
			ids = append(ids, m.ID)
		}
		tokens := asked.get()
		if len(tokens) != 2 || tokens[0] == tokens[1] {
			t.Fatalf("tokens %q", tokens)
		}
		for i, token := range tokens {
			shown := token
			for part := range strings.SplitSeq(token, ".") { // twice in base64: the token, and the name in it
				for range 2 {
					plain, err := base64.RawURLEncoding.DecodeString(part)
					if err != nil {
						break
					}
					part = string(plain)
					shown += part
				}
			}
			for what, secret := range map[string]string{"device": "car-1", "id": string(ids[i][:]), "id in hexadecimal": hex.EncodeToString(ids[i][:])} {
				if strings.Contains(shown, secret) {
					t.Errorf("the token shows the %s", what)
				}
			}
			if strings.Contains(readAll(t, w.db, w.db+"-wal")+w.logs.String(), token) {
				t.Error("the token is on disk or in the log")
			}
		}
	})
}

// That the provider cannot deliver in the way that was set up is the operator's
// affair, not the device's.
func TestDeliveryNotSupported(t *testing.T) {
	op := &cibatest.Provider{Delivery: "ping", EditMetadata: func(m map[string]any) {
		m["backchannel_token_delivery_modes_supported"] = []string{"poll"}
	}}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		car.refused(car.signIn("anna@example.com"), schemas.ProviderError)
		if !strings.Contains(w.logs.String(), `level=ERROR msg="the provider fails a sign-in"`) {
			t.Errorf("the operator is not told:\n%s", w.logs.String())
		}
	})
}
