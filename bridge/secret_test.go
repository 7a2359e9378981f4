package bridge_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/schemas"
)

// Nothing that is secret is on disk or in the log in clear, at any time: not the
// hint, the name, the tokens, the auth_req_id, the binding message, the keys.
func TestSecrets(t *testing.T) {
	const hint, name, purpose = "anna.secret@example.com", "Anna Geheim", "seat of Anna"
	var authReqID, binding, idToken, accessToken string
	op := &cibatest.Provider{
		EditIDToken: func(d *cibatest.Draft) { d.Claims["name"] = name },
		EditTokens: func(m map[string]any) {
			idToken, accessToken = m["id_token"].(string), m["access_token"].(string)
		},
		Subject: func(h string) (string, bool) { return "248289", strings.Contains(h, "anna") },
		Token:   cibatest.Sequence(cibatest.HTML(500)),
	}
	inWorld(t, op, func(w *world) {
		w.context = true
		op.OnRequest = func(r cibatest.Request) {
			authReqID, binding = r.AuthReqID, r.BindingMessage
			time.AfterFunc(12*time.Second, func() { op.Approve(r.AuthReqID) })
		}
		w.start()
		car := w.car("car-1")
		car.mute = true
		m := car.signIn(hint)
		car.private(m, schemas.Private{LoginHint: hint, Purpose: purpose})
		car.send(m)
		time.Sleep(5 * time.Second)
		disk := readAll(t, w.db, w.db+"-wal")
		car.grant(m)
		unknown := car.signIn("nobody.secret@example.com")
		car.refused(unknown, schemas.UnknownPerson)
		disk += readAll(t, w.db, w.db+"-wal")
		log := w.logs.String()

		secrets := map[string]string{
			"hint": hint, "other hint": "nobody.secret", "name": name, "purpose": purpose, "auth_req_id": authReqID,
			"binding message": binding, "ID token": idToken, "access token": accessToken,
			"client secret": cibatest.ClientSecret + ":", "sealing key": string(w.seal.Bytes()), "handle": car.handle.String(),
		}
		for what, secret := range secrets {
			if secret == "" {
				t.Fatalf("the test has seen no %s", what)
			}
			if strings.Contains(disk, secret) {
				t.Errorf("the %s is on disk in clear", what)
			}
			if strings.Contains(log, secret) {
				t.Errorf("the %s is in the log", what)
			}
		}
		if strings.Contains(log, "car-1") {
			t.Error("the log names a device")
		}
		if !strings.Contains(disk, "car-1") || !strings.Contains(log, w.store.Pseudonym("car-1")) {
			t.Error("neither disk nor log mention the device: this test sees nothing")
		}
	})
}

func readAll(t *testing.T, names ...string) (all string) {
	t.Helper()
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	return all
}
