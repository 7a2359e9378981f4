package bridge_test

import (
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/schemas"
)

func TestGrantedScope(t *testing.T) {
	for _, c := range []struct {
		asked, got string
		want       string
		fails      bool
	}{
		{"seat climate", "", "", false},                              // the provider does not say: all of it
		{"seat climate", "openid seat climate", "", false},           //
		{"seat climate", "climate seat", "", false},                  // of a resource alone, in another order
		{"seat climate", "climate seat profile mirror", "", false},   // nobody asked for more
		{"openid seat climate", "climate seat", "", false},           //
		{"seat climate", "openid seat", "seat", false},               //
		{"seat climate mirror", "mirror seat", "seat mirror", false}, // in the order in which they were asked for
		{"openid", "openid", "", false},                              //
		{"openid", "seat", "", false},                                //
		{"seat", "openid", "", true},                                 // nothing, which must not read as everything
	} {
		var got []string
		if c.got != "" {
			got = strings.Fields(c.got)
		}
		scope, err := bridge.GrantedScope(strings.Fields(c.asked), got)
		if scope != c.want || (err != nil) != c.fails {
			t.Errorf("asked %q, got %q: %q, %v; want %q", c.asked, c.got, scope, err, c.want)
		}
	}
}

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"Anna":                         "Anna",
		"  Anna\r\n\tBela ":            "AnnaBela",
		"\x00\x1b":                     "",
		"An\u202ena\u2066\u200f\u2028": "Anna",
		"\u0646\u200c\u0647":           "\u0646\u200c\u0647",
		strings.Repeat("x", 65):        strings.Repeat("x", 64),
		strings.Repeat("é", 33):        strings.Repeat("é", 32),
		"x" + strings.Repeat("é", 33):  "x" + strings.Repeat("é", 31),
		"An\xffna":                     "Anna",
		strings.Repeat("x", 63) + " y": strings.Repeat("x", 63),
	} {
		if got := bridge.CleanName(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestNameAndLife(t *testing.T) {
	name := any("Anna")
	op := &cibatest.Provider{
		AutoApprove: time.Second,
		EditIDToken: func(d *cibatest.Draft) { d.Claims["name"], d.Claims["given_name"] = name, "Annie" },
		EditTokens:  func(m map[string]any) { delete(m, "expires_in"); m["scope"] = "openid seat" },
	}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		g := car.grant(car.signIn("anna@example.com"))
		if g.Name != "Anna" || g.ExpiresIn != 300 || g.Scope != "seat" || g.Renewable {
			t.Errorf("name %q, %d s, scope %q, renewable %t", g.Name, g.ExpiresIn, g.Scope, g.Renewable)
		}
		name = 17
		if g := car.grant(car.signIn("")); g.Name != "Annie" {
			t.Errorf("name %q, want the given name where there is no name", g.Name)
		}
	})
}

// A handle is void once the device has the next one, and not before.
func TestHandles(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		h1 := car.grant(car.signIn("anna@example.com")).Person
		by := func(h schemas.Handle) *schemas.SignIn {
			m := car.signIn("")
			m.Person = &h
			return m
		}
		car.mute = true
		m := by(h1)
		car.grant(m)
		car.grant(by(h1)) // the second grant was not receipted
		car.send(&schemas.Receipt{ID: m.ID})
		time.Sleep(time.Minute)
		car.refused(by(h1), schemas.UnknownPerson)
		// Another device's handle means nothing.
		desk := w.car("desk-1")
		stolen := desk.signIn("")
		stolen.Person = &car.handle
		desk.refused(stolen, schemas.UnknownPerson)
		car.grant(by(car.handle))
	})
}

func TestSignOut(t *testing.T) {
	op := &cibatest.Provider{AutoApprove: time.Second}
	inWorld(t, op, func(w *world) {
		w.start()
		car := w.car("car-1")
		signOut := func(m schemas.SignOut) *schemas.SignOut {
			m.ID, m.IssuedAt = schemas.NewID(), schemas.Seconds(time.Now())
			return &m
		}
		revoked := func(m *schemas.SignOut) *schemas.Revoked {
			t.Helper()
			r, ok := car.ask(m).(*schemas.Revoked)
			if !ok {
				t.Fatalf("answer %+v, want revoked", car.final(m.ID))
			}
			return r
		}
		anna := car.signIn("anna@example.com")
		annas := car.grant(anna).Person
		bela := car.signIn("bela@example.com")
		car.grant(bela)
		bela2 := car.signIn("")
		car.grant(bela2)

		if r := revoked(signOut(schemas.SignOut{Person: &annas})); len(r.Sessions) != 1 || r.Sessions[0] != anna.ID || r.All {
			t.Errorf("by person: %+v", r)
		}
		car.refused(signOut(schemas.SignOut{Person: &annas}), schemas.UnknownSession)
		nobody := schemas.NewHandle()
		car.refused(signOut(schemas.SignOut{Person: &nobody}), schemas.UnknownPerson)
		one := signOut(schemas.SignOut{Sessions: []schemas.ID{bela.ID, schemas.NewID()}})
		if r := revoked(one); len(r.Sessions) != 2 || r.Sessions[0] != bela.ID {
			t.Errorf("by session: %+v", r)
		}
		// A replay ends nothing that began since.
		all := signOut(schemas.SignOut{All: true})
		if r := revoked(all); !r.All {
			t.Errorf("all: %+v", r)
		}
		if n := w.count("sessions"); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
		car.grant(car.signIn(""))
		car.send(all)
		time.Sleep(time.Minute)
		if n := w.count("sessions"); n != 1 {
			t.Error("a replayed sign-out ended a session")
		}
		old := signOut(schemas.SignOut{All: true})
		old.IssuedAt -= 400
		car.refused(old, schemas.ClockSkew)
	})
}
