package bridge_test

import (
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
	"github.com/carillon-iot/carillon/schemas"
)

// renewing is a provider that hands out refresh tokens, and rotates them.
func renewing() *cibatest.Provider {
	return &cibatest.Provider{AutoApprove: time.Second, RefreshTokens: true, RotateRefreshTokens: true}
}

// inRenewingWorld runs a test in which people stay signed in on cars for a day.
// Tokens live 5 minutes.
func inRenewingWorld(t *testing.T, op *cibatest.Provider, test func(w *world)) {
	t.Helper()
	inWorld(t, op, func(w *world) {
		w.policy.SessionLife = map[schemas.DeviceKind]time.Duration{schemas.Car: 24 * time.Hour}
		w.start()
		test(w)
	})
}

// renew is a request to renew a session.
func (d *device) renew(session schemas.ID) *schemas.Renew {
	d.w.t.Helper()
	key, err := schemas.GenerateSealKey()
	if err != nil {
		d.w.t.Fatal(err)
	}
	m := &schemas.Renew{ID: schemas.NewID(), IssuedAt: schemas.Seconds(time.Now()), Session: session, ResponseKey: key.Public()}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys[m.ID] = key
	return m
}

// regrant renews a session and wants it granted.
func (d *device) regrant(session schemas.ID) schemas.Grant {
	d.w.t.Helper()
	m := d.renew(session)
	g, ok := d.ask(m).(*schemas.Granted)
	if !ok {
		d.w.t.Fatalf("answer %+v, want a grant\n%s", d.final(m.ID), d.w.logs.String())
	}
	return d.open(g)
}

// enter signs somebody in and returns the session.
func (d *device) enter(hint string) schemas.ID {
	d.w.t.Helper()
	m := d.signIn(hint)
	if g := d.grant(m); !g.Renewable {
		d.w.t.Fatalf("the session cannot be renewed\n%s", d.w.logs.String())
	}
	return m.ID
}

func TestRenew(t *testing.T) {
	for name, op := range map[string]*cibatest.Provider{
		"rotated":          renewing(),
		"kept":             {AutoApprove: time.Second, RefreshTokens: true},
		"without ID token": {AutoApprove: time.Second, RefreshTokens: true, RotateRefreshTokens: true, RefreshWithoutIDToken: true},
	} {
		t.Run(name, func(t *testing.T) {
			var scope string
			op.OnRequest = func(r cibatest.Request) { scope = r.Scope }
			inRenewingWorld(t, op, func(w *world) {
				car := w.car("car-1")
				session := car.enter("anna@example.com")
				if scope != "openid seat climate offline_access" {
					t.Errorf("asked the provider for %q", scope)
				}
				seen := map[string]bool{}
				for range 5 {
					before := car.handle
					g := car.regrant(session)
					if seen[string(g.AccessToken)] || g.ExpiresIn != 300 || !g.Renewable || g.Scope != "" || g.Person == before {
						t.Errorf("grant %+v", g)
					}
					seen[string(g.AccessToken)] = true
				}
				if s := op.Stats(); s.Rang != 1 || s.Refreshed != 5 || s.Token != 6 || s.Revocation != 0 {
					t.Errorf("the provider saw %+v", s)
				}
				time.Sleep(time.Second)
				car.grant(car.signIn("")) // by the handle of the last renewal
			})
		})
	}
}

// A request that comes again, to whatever bridge, spends nothing again.
func TestRenewIsRepeated(t *testing.T) {
	op := renewing()
	op.Token = func(n int) cibatest.Fault {
		if n == 1 {
			return cibatest.Delay(10 * time.Second)
		}
		return nil
	}
	inRenewingWorld(t, op, func(w *world) {
		car := w.car("car-1")
		session := car.enter("anna@example.com")
		m := car.renew(session)
		car.mute = true
		for range 10 {
			car.send(m)
			time.Sleep(time.Second)
		}
		car.await(m.ID, time.Minute)
		w.stop()
		w.start()
		car.send(m)
		car.await(m.ID, time.Minute)
		if s := op.Stats(); s.Refreshed != 1 {
			t.Errorf("%d refreshes, want 1", s.Refreshed)
		}
	})
}

// Two renewals of one session at once: the first goes on, the other is told to
// come back, and does so with what the first has brought.
func TestRenewTwiceAtOnce(t *testing.T) {
	op := renewing()
	op.Token = cibatest.Sequence(nil, cibatest.Delay(3*time.Second))
	inRenewingWorld(t, op, func(w *world) {
		car := w.car("car-1")
		session := car.enter("anna@example.com")
		first, second := car.renew(session), car.renew(session)
		car.send(first)
		time.Sleep(time.Second)
		busy := car.refused(second, schemas.Busy)
		if busy.RetryAfter < 5 || busy.RetryAfter > 10 {
			t.Errorf("retry after %d s", busy.RetryAfter)
		}
		if _, ok := car.await(first.ID, time.Minute).(*schemas.Granted); !ok {
			t.Error("the first was not granted")
		}
		time.Sleep(time.Duration(busy.RetryAfter) * time.Second)
		if _, ok := car.ask(second).(*schemas.Granted); !ok {
			t.Errorf("the second, later: %+v", car.final(second.ID))
		}
		if s := op.Stats(); s.Refreshed != 2 {
			t.Errorf("%d refreshes, want 2", s.Refreshed)
		}
	})
}

// A session that was not begun by this device, was ended, or is too old is not
// renewed; nor is any whose kind of device may not.
func TestRenewRefused(t *testing.T) {
	op := renewing()
	inRenewingWorld(t, op, func(w *world) {
		car, other := w.car("car-1"), w.car("car-2")
		session := car.enter("anna@example.com")
		other.refused(other.renew(session), schemas.UnknownSession)
		car.refused(car.renew(schemas.NewID()), schemas.UnknownSession)
		old := car.renew(session)
		old.IssuedAt -= 400
		car.refused(old, schemas.ClockSkew)
		confirm, err := schemas.NewConfirmKey(mtlstest.Key(t).Public())
		if err != nil {
			t.Fatal(err)
		}
		bound := car.renew(session)
		bound.ConfirmKey = confirm
		car.refused(bound, schemas.Unsupported)

		till := other.signIn("bela@example.com")
		till.Device = schemas.Till
		if g := other.grant(till); g.Renewable {
			t.Error("a till's session can be renewed")
		}
		other.refused(other.renew(till.ID), schemas.UnknownSession)

		w.stop()
		w.policy.Scopes = map[schemas.DeviceKind][]string{schemas.Car: {"seat"}}
		w.start()
		car.refused(car.renew(session), schemas.InvalidScope)
		w.stop()
		w.policy.Scopes = nil
		w.edit = func(c *bridge.Config) { c.Issuer = "https://other.example.com" }
		w.start()
		car.refused(car.renew(session), schemas.UnknownSession)
		w.stop()
		w.edit, w.policy.SessionLife = nil, nil
		w.start()
		car.refused(car.renew(session), schemas.UnknownSession)
		if s := op.Stats(); s.Refreshed != 0 {
			t.Errorf("%d refreshes", s.Refreshed)
		}
	})
}

// The last token of a session says that it is the last; after it nothing can be
// renewed, and the provider is told to forget.
func TestSessionLife(t *testing.T) {
	op := renewing()
	inWorld(t, op, func(w *world) {
		w.policy.SessionLife = map[schemas.DeviceKind]time.Duration{schemas.Car: 12 * time.Minute}
		w.start()
		car := w.car("car-1")
		session := car.enter("anna@example.com")
		for _, renewable := range []bool{true, true, false} {
			time.Sleep(200 * time.Second)
			if g := car.regrant(session); g.Renewable != renewable {
				t.Errorf("renewable %t, want %t", g.Renewable, renewable)
			}
		}
		time.Sleep(2 * time.Minute)
		car.refused(car.renew(session), schemas.UnknownSession)
		w.until("revocation", 10*time.Minute, func() bool { return op.Stats().Revocation == 1 })
		if n := w.count("sessions"); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// A provider that grants no refresh token, and one whose tokens outlive the
// session.
func TestNotRenewable(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second}
	inRenewingWorld(t, op, func(w *world) {
		car := w.car("car-1")
		m := car.signIn("anna@example.com")
		if g := car.grant(m); g.Renewable {
			t.Error("a session without a refresh token can be renewed")
		}
		car.refused(car.renew(m.ID), schemas.UnknownSession)
	})
	op = renewing()
	inWorld(t, op, func(w *world) {
		w.policy.SessionLife = map[schemas.DeviceKind]time.Duration{schemas.Car: 4 * time.Minute}
		w.start()
		car := w.car("car-1")
		if g := car.grant(car.signIn("anna@example.com")); g.Renewable {
			t.Error("a session that ends before its token can be renewed")
		}
		w.until("revocation", 10*time.Minute, func() bool { return op.Stats().Revocation == 1 })
	})
}

// What the provider narrows stays narrow.
func TestRenewNarrows(t *testing.T) {
	op := renewing()
	scopes := []string{"openid seat climate offline_access", "openid climate", "openid seat climate", "openid seat"}
	op.EditTokens = func(m map[string]any) { m["scope"], scopes = scopes[0], scopes[1:] }
	inRenewingWorld(t, op, func(w *world) {
		car := w.car("car-1")
		session := car.enter("anna@example.com")
		if g := car.regrant(session); g.Scope != "climate" {
			t.Errorf("scope %q", g.Scope)
		}
		if g := car.regrant(session); g.Scope != "" { // all of the little that it was
			t.Errorf("scope %q", g.Scope)
		}
		car.refused(car.renew(session), schemas.InvalidScope)
	})
}
