package bridge_test

import (
	"crypto/x509"
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/policy"
	"github.com/carillon-iot/carillon/schemas"
)

// Renewals have quotas of their own: one for each device, one for all.
func TestRenewQuota(t *testing.T) {
	for name, limit := range map[string]func(*policy.Policy){
		"of the device": func(p *policy.Policy) { p.PerDevice = policy.Rate{Burst: 2, Every: time.Minute} },
		"of all":        func(p *policy.Policy) { p.Renewals = policy.Rate{Burst: 2, Every: time.Minute} },
	} {
		t.Run(name, func(t *testing.T) {
			op := renewing()
			inWorld(t, op, func(w *world) {
				w.policy.SessionLife = map[schemas.DeviceKind]time.Duration{schemas.Car: 24 * time.Hour}
				w.policy.PerPerson = policy.Rate{Burst: 1, Every: time.Hour}
				w.policy.PerProvider = policy.Rate{Burst: 1, Every: time.Hour}
				limit(&w.policy)
				w.start()
				car := w.car("car-1")
				session := car.enter("anna@example.com")
				car.regrant(session)
				car.regrant(session)
				r := car.refused(car.renew(session), schemas.TooManyRequests)
				if r.RetryAfter < 1 || r.RetryAfter > 60 {
					t.Errorf("retry after %d s", r.RetryAfter)
				}
				time.Sleep(time.Duration(r.RetryAfter) * time.Second)
				car.regrant(session)
			})
		})
	}
}

func TestMaxRenewals(t *testing.T) {
	op := renewing()
	op.Token = func(n int) cibatest.Fault {
		if n >= 2 {
			return cibatest.Delay(5 * time.Second)
		}
		return nil
	}
	inWorld(t, op, func(w *world) {
		w.policy.SessionLife = map[schemas.DeviceKind]time.Duration{schemas.Car: 24 * time.Hour}
		w.limits.Renewals = 1
		w.start()
		a, b := w.car("car-1"), w.car("car-2")
		annas, belas := a.enter("anna@example.com"), b.enter("bela@example.com")
		first, second := a.renew(annas), b.renew(belas)
		a.send(first)
		time.Sleep(time.Second)
		b.refused(second, schemas.Busy)
		a.await(first.ID, time.Minute)
		if _, ok := b.ask(second).(*schemas.Granted); !ok {
			t.Errorf("later: %+v", b.final(second.ID))
		}
	})
}

// What other bridges renew counts as well.
func TestMaxRenewalsOfAllBridges(t *testing.T) {
	inWorld(t, renewing(), func(w *world) {
		w.policy.SessionLife = map[schemas.DeviceKind]time.Duration{schemas.Car: 24 * time.Hour}
		w.limits.Renewals = 1
		w.start()
		car := w.car("car-1")
		session := car.enter("anna@example.com")
		exec := func(statement string, args ...any) {
			w.sql(func(db *sql.DB) error {
				_, err := db.Exec(statement, args...)
				return err
			})
		}
		ends := time.Now().Add(time.Hour).UnixMilli()
		exec("INSERT INTO requests (device, id, state, due_at, deadline) VALUES ('car-2', x'01', 'renewing', $1, $1)", ends)
		m := car.renew(session)
		if r := car.refused(m, schemas.Busy); r.RetryAfter < 1 || r.RetryAfter > 2 {
			t.Errorf("retry after %d s", r.RetryAfter)
		}
		if n := gathered(t, w.metrics, `carillon_bridge_requests_busy_total{reason="renewals"}`); n != 1 {
			t.Errorf("%v times too many renewals, want 1", n)
		}
		exec("DELETE FROM requests WHERE device = 'car-2'")
		if _, ok := car.ask(m).(*schemas.Granted); !ok {
			t.Errorf("later: %+v", car.final(m.ID))
		}
	})
}

// While the provider does not answer, hardly any session is put at risk: what may
// have been heard is over, and the others wait until it answers again.
func TestRenewLeavesAProviderAlone(t *testing.T) {
	op := renewing()
	const cars = 12
	op.Token = func(n int) cibatest.Fault {
		if n >= cars && n < cars+5 {
			return cibatest.Lose()
		}
		return nil
	}
	inRenewingWorld(t, op, func(w *world) {
		var all []*device
		var sessions []schemas.ID
		for i := range cars {
			car := w.car(fmt.Sprintf("car-%d", i))
			all, sessions = append(all, car), append(sessions, car.enter(fmt.Sprintf("person-%d@example.com", i)))
		}
		lost, held := 0, 0
		for i, car := range all {
			m := car.renew(sessions[i])
			for car.final(m.ID) == nil {
				car.send(issuedNow(m))
				time.Sleep(500 * time.Millisecond)
			}
			if outcome(car.final(m.ID)) == "interrupted" {
				lost++
			}
			if car.refusal(m.ID) != nil && car.refusal(m.ID).Code == schemas.Busy {
				held++
			}
		}
		if lost != 5 || held != 1 {
			t.Errorf("%d sessions are over, %d were told to wait; want 5 and 1", lost, held)
		}
		w.until("the log", time.Second, func() bool { return strings.Contains(w.logs.String(), "nobody is rung for a while") })
	})
}

// A bridge that is told to stop finishes the renewals on their way, and begins
// none.
func TestRenewDrains(t *testing.T) {
	op := renewing()
	op.Token = cibatest.Sequence(nil, cibatest.Delay(5*time.Second))
	inRenewingWorld(t, op, func(w *world) {
		car := w.car("car-1")
		session := car.enter("anna@example.com")
		first, late := car.renew(session), car.renew(session)
		car.send(first)
		time.Sleep(time.Second)
		stopped := make(chan struct{})
		go func() {
			w.stop()
			close(stopped)
		}()
		time.Sleep(time.Second)
		car.refused(late, schemas.Busy)
		if _, ok := car.await(first.ID, time.Minute).(*schemas.Granted); !ok {
			t.Errorf("answer %+v", car.final(first.ID))
		}
		<-stopped
		w.start()
		car.regrant(session)
		if s := op.Stats(); s.Refreshed != 2 {
			t.Errorf("%d refreshes, want 2", s.Refreshed)
		}
	})
}

// A device that is revoked while the provider is asked gets nothing.
func TestRenewOfRevokedDevice(t *testing.T) {
	op := renewing()
	op.Token = cibatest.Sequence(nil, cibatest.Delay(3*time.Second))
	inWorld(t, op, func(w *world) {
		w.policy.SessionLife = map[schemas.DeviceKind]time.Duration{schemas.Car: 24 * time.Hour}
		var revoked atomic.Bool
		w.edit = func(c *bridge.Config) { c.Revoked = func(*x509.Certificate) bool { return revoked.Load() } }
		w.start()
		car := w.car("car-1")
		session := car.enter("anna@example.com")
		m := car.renew(session)
		car.send(m)
		time.Sleep(time.Second)
		revoked.Store(true)
		if got := outcome(car.await(m.ID, time.Minute)); got != "not_allowed" {
			t.Errorf("%s", got)
		}
		w.until("revocation", time.Minute, func() bool { return op.Stats().Revocation == 2 }) // the old one and the new
		if n := w.count("sessions"); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
		car.send(car.renew(session))
		time.Sleep(time.Second)
		if s := op.Stats(); s.Refreshed != 1 {
			t.Errorf("%d refreshes", s.Refreshed)
		}
	})
}

// Of what renews a session nothing is on disk or in the log in clear.
func TestRefreshTokenIsSecret(t *testing.T) {
	op := renewing()
	var tokens []string
	op.EditTokens = func(m map[string]any) { tokens = append(tokens, m["refresh_token"].(string)) }
	op.Revocation = cibatest.Always(cibatest.HTML(503))
	inRenewingWorld(t, op, func(w *world) {
		car := w.car("car-1")
		session := car.enter("anna@example.com")
		car.regrant(session)
		disk := readAll(t, w.db, w.db+"-wal")
		car.ask(&schemas.SignOut{ID: schemas.NewID(), IssuedAt: schemas.Seconds(time.Now()), All: true})
		time.Sleep(time.Minute)
		disk += readAll(t, w.db, w.db+"-wal")
		if len(tokens) != 2 || w.count("revocations") != 1 {
			t.Fatalf("%d tokens seen, %d revocations", len(tokens), w.count("revocations"))
		}
		for i, token := range tokens {
			if strings.Contains(disk, token) || strings.Contains(w.logs.String(), token) {
				t.Errorf("refresh token %d is on disk or in the log in clear", i)
			}
		}
	})
}
