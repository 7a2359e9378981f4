package bridge_test

import (
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/schemas"
)

func (d *device) signOut() {
	d.w.t.Helper()
	d.ask(&schemas.SignOut{ID: schemas.NewID(), IssuedAt: schemas.Seconds(time.Now()), All: true})
}

// Whoever signs out is answered at once, and the provider is told when it can
// be, over any number of restarts.
func TestSignOutRevokes(t *testing.T) {
	for name, fault := range map[string]cibatest.Fault{
		"at once":          nil,
		"down":             cibatest.Busy(503, 0),
		"hangs":            cibatest.Hang(),
		"loses its word":   cibatest.Lose(),
		"does not know us": cibatest.OAuthError(401, "invalid_client"),
	} {
		t.Run(name, func(t *testing.T) {
			op := renewing()
			op.Revocation = cibatest.Sequence(fault, fault)
			inRenewingWorld(t, op, func(w *world) {
				car := w.car("car-1")
				session := car.enter("anna@example.com")
				begun := time.Now()
				car.signOut()
				if d := time.Since(begun); d > time.Second {
					t.Errorf("signed out after %v", d)
				}
				car.refused(car.renew(session), schemas.UnknownSession)
				for range 3 {
					w.stop()
					time.Sleep(5 * time.Minute)
					w.start()
				}
				if n := w.count("revocations"); n != 0 {
					t.Errorf("%d revocations are left\n%s", n, w.logs.String())
				}
				want := 1
				if fault != nil {
					want = 3
				}
				if s := op.Stats(); s.Revocation != want || s.Refreshed != 0 {
					t.Errorf("the provider saw %+v", s)
				}
			})
		})
	}
}

// A provider that cannot revoke, or will not, is not asked again.
func TestCannotRevoke(t *testing.T) {
	for name, change := range map[string]func(*cibatest.Provider){
		"no endpoint": func(op *cibatest.Provider) {
			op.EditMetadata = func(m map[string]any) { delete(m, "revocation_endpoint") }
		},
		"not this one": func(op *cibatest.Provider) {
			op.Revocation = cibatest.Always(cibatest.OAuthError(400, "unsupported_token_type"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			op := renewing()
			change(op)
			inRenewingWorld(t, op, func(w *world) {
				car := w.car("car-1")
				car.enter("anna@example.com")
				car.signOut()
				time.Sleep(time.Hour)
				if n, s := w.count("revocations"), op.Stats(); n != 0 || s.Revocation > 1 {
					t.Errorf("%d are left, and the provider saw %+v", n, s)
				}
			})
		})
	}
}

// A grant that no device has fetched begins nothing that lasts.
func TestUnfetchedGrantIsRevoked(t *testing.T) {
	op := renewing()
	inRenewingWorld(t, op, func(w *world) {
		w.lose = func(m schemas.Message) bool { return m.Kind() == schemas.KindGranted }
		car := w.car("car-1")
		car.send(car.signIn("anna@example.com"))
		w.until("revocation", 20*time.Minute, func() bool { return op.Stats().Revocation == 1 })
		if n := w.count("sessions"); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// A device that is revoked while it says nothing has no session any more, and
// the others keep theirs.
func TestRevokedDeviceLosesSessions(t *testing.T) {
	op := renewing()
	inWorld(t, op, func(w *world) {
		w.policy.SessionLife = map[schemas.DeviceKind]time.Duration{schemas.Car: 24 * time.Hour}
		var bad atomic.Pointer[x509.Certificate]
		w.edit = func(c *bridge.Config) {
			c.Revoked = func(c *x509.Certificate) bool { return bad.Load() != nil && bad.Load().Equal(c) }
		}
		w.start()
		var cars []*device
		var sessions []schemas.ID
		for i := range 3 {
			car := w.car(fmt.Sprintf("car-%d", i))
			cars, sessions = append(cars, car), append(sessions, car.enter(fmt.Sprintf("person-%d@example.com", i)))
		}
		time.Sleep(time.Minute)
		if s := op.Stats(); s.Revocation != 0 {
			t.Fatalf("the provider saw %+v", s)
		}
		bad.Store(cars[1].signer.Chain()[0])
		w.until("revocation", time.Minute, func() bool { return op.Stats().Revocation == 1 })
		if n := w.count("sessions"); n != 2 {
			t.Errorf("%d sessions are left, want 2", n)
		}
		cars[0].regrant(sessions[0])
		cars[2].regrant(sessions[2])
	})
}
