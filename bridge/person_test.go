package bridge_test

import (
	"database/sql"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/schemas"
)

// A name that can be spelt in many ways has one phone: devices that spell it
// differently ring it once at a time, and spend one quota.
func TestSpellingsShareAPhone(t *testing.T) {
	for name, hints := range map[string][]string{
		"an address": {
			"anna@example.com", "Anna@Example.COM", " anna@example.com\u00a0", "anna@exam\u00adple.com", "anna@example.com\u200b",
		},
		"letters with two capitals": {"kass\u0131@example.com", "\u212aA\u017fSI@example.com", "KASSI@example.com"},
		"an object": {
			`{"format":"iss_sub","iss":"https://op.example.com/","sub":"auth0|1"}`,
			`{"sub":"auth0|1","format":"iss_sub"}`,
			`{ "format": "iss_sub", "sub": "\u0061uth0|1" }`,
			`{"sub":"other","sub":"auth0|1","SUB":"other","x":[1]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			op := &cibatest.Provider{Subject: func(string) (string, bool) { return "248289", true }}
			inWorld(t, op, func(w *world) {
				w.start()
				for i, hint := range hints {
					car := w.car(fmt.Sprintf("car-%d", i))
					car.send(car.signIn(hint))
					time.Sleep(time.Second)
				}
				if s := op.Stats(); s.Rang != 1 {
					t.Errorf("%d spellings of one name ring %d times", len(hints), s.Rang)
				}
				other := w.car("car-9")
				other.send(other.signIn("bela@example.com"))
				time.Sleep(time.Second)
				if s := op.Stats(); s.Rang != 2 {
					t.Errorf("another person was not rung")
				}
			})
		})
	}
}

// An ID token that the provider does not take costs the device that has made it
// up, and not the person whom it names: else a stranger could keep people out of
// their cars without a phone ringing.
func TestForgedHintCostsNobody(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second, Subject: func(hint string) (string, bool) { return "248289", strings.HasPrefix(hint, "anna") }}
	inWorld(t, op, func(w *world) {
		w.start()
		car, stranger := w.car("car-1"), w.car("car-2")
		car.grant(car.signIn("anna@example.com"))
		forged := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"248289"}`)) + ".e30"
		for i := range w.policy.PerDevice.Burst + 2 {
			m := stranger.signIn("")
			m.Person = nil
			stranger.private(m, schemas.Private{IDTokenHint: forged})
			want := schemas.UnknownPerson
			if i >= w.policy.PerDevice.Burst {
				want = schemas.TooManyRequests
			}
			stranger.refused(m, want)
		}
		car.grant(car.signIn(""))
	})
}

// A person whom the store cannot read any more is not named in the log either.
func TestUnreadablePerson(t *testing.T) {
	const subject = "anna.subject@example.com"
	op := &cibatest.Provider{AutoApprove: time.Second, Subject: func(string) (string, bool) { return subject, true }}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		car.grant(car.signIn("anna@example.com"))
		w.sql(func(db *sql.DB) error {
			_, err := db.Exec("UPDATE pairings SET secret = substr(secret, 1, length(secret) - 1)")
			return err
		})
		car.refused(car.signIn(""), schemas.UnknownPerson)
		if log := w.logs.String(); !strings.Contains(log, "cannot be read") || strings.Contains(log, subject) {
			t.Errorf("the log says %s", log)
		}
	})
}
