package outbox_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/schemas"
)

func key(t testing.TB) *schemas.SealKey {
	t.Helper()
	k, err := schemas.GenerateSealKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func entries(t testing.TB) map[string]*outbox.Entry {
	h := schemas.NewHandle()
	at := time.Unix(1767225600, 0)
	return map[string]*outbox.Entry{
		"hint": {ID: schemas.NewID(), Created: at, Sure: true, Lifetime: 2 * time.Minute, Ringing: true, SignIn: &outbox.SignIn{
			Scope: "seat climate", Private: schemas.Private{LoginHint: "anna@example.com", Purpose: "a drive"}, Expiry: 90,
			ACR: "urn:a", Device: schemas.Car, Seat: 3, Moving: true, Key: key(t)}},
		"person": {ID: schemas.NewID(), Created: at, Withdrawn: true, SignIn: &outbox.SignIn{
			Scope: "pay", Person: &h, Device: schemas.Till, Key: key(t)}},
		"renewal":  {ID: schemas.NewID(), Created: at, Renew: &outbox.Renew{Session: schemas.NewID(), Person: 3, Key: key(t)}},
		"session":  {ID: schemas.NewID(), Created: at, SignOut: &outbox.SignOut{Sessions: []schemas.ID{schemas.NewID(), schemas.NewID()}}},
		"everyone": {ID: schemas.NewID(), Created: at, SignOut: &outbox.SignOut{All: true}},
		"of one":   {ID: schemas.NewID(), Created: at, SignOut: &outbox.SignOut{Person: &h}},
	}
}

func TestEntriesSurvive(t *testing.T) {
	for name, e := range entries(t) {
		data, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := outbox.Decode(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s := e.SignIn; s != nil {
			if !bytes.Equal(s.Key.Bytes(), got.SignIn.Key.Bytes()) {
				t.Errorf("%s: another key", name)
			}
			got.SignIn.Key = s.Key // has unexported parts
		}
		if r := e.Renew; r != nil {
			if !bytes.Equal(r.Key.Bytes(), got.Renew.Key.Bytes()) {
				t.Errorf("%s: another key", name)
			}
			got.Renew.Key = r.Key
		}
		if !reflect.DeepEqual(e, got) {
			t.Errorf("%s: %+v became %+v", name, e, got)
		}
	}
}

// What an entry says is right in every part, sealed to the bridge's key.
func TestMessage(t *testing.T) {
	e := entries(t)["hint"]
	bridge := key(t)
	m, err := e.Message("0123456789abcdef", 1767225600, bridge.Public())
	if err != nil {
		t.Fatal(err)
	}
	in := m.(*schemas.SignIn)
	p, err := schemas.OpenPrivate(bridge, "0123456789abcdef", e.ID, in.Sealed)
	if err != nil || p != e.SignIn.Private {
		t.Errorf("sealed: %v", err)
	}
	in.Sealed = nil
	want := &schemas.SignIn{ID: e.ID, IssuedAt: 1767225600, Scope: "seat climate", Expiry: 90, ACR: "urn:a",
		Device: schemas.Car, Seat: 3, Moving: true, ResponseKey: e.SignIn.Key.Public()}
	if !reflect.DeepEqual(in, want) {
		t.Errorf("said %+v, want %+v", in, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, err := entries(t)["hint"].Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.Decode(good); err != nil {
		t.Fatal(err)
	}
	for _, x := range [][2]string{
		{`"version":1`, `"version":2`}, {`"scope":"seat climate"`, `"scope":""`}, {`"login_hint":"anna@example.com"`, `"login_hint":""`},
		{`"login_hint":`, `"id_token_hint":"x","login_hint":`}, {`"seat":3`, `"seat":13`}, {`"device":1`, `"device":0`},
		{`"key":"`, `"key":"AAAA`}, {`"id":"`, `"id":"00`}, {`"lifetime":120`, `"lifetime":-1`}, {`"lifetime":120`, `"lifetime":99999999999`},
		{`"sign_in":`, `"sign_out":{"all":true},"sign_in":`}, {`"sign_in":`, `"other":1,"sign_in":`},
	} {
		bad := strings.Replace(string(good), x[0], x[1], 1)
		if bad == string(good) {
			t.Errorf("%s is not in %s", x[0], good)
		}
		if e, err := outbox.Decode([]byte(bad)); err == nil {
			t.Errorf("with %s: %+v", x[1], e)
		}
	}
}

// Whatever a record is: it is refused, or it is an entry that can be said and
// that encodes to what decodes to the same.
func FuzzEntry(f *testing.F) {
	seeds := 0
	for _, e := range entries(f) {
		data, err := e.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		seeds++
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	bridge := key(f).Public()
	f.Fuzz(func(t *testing.T, record []byte) {
		e, err := outbox.Decode(record)
		if err != nil {
			if e != nil {
				t.Error("an entry comes with the error")
			}
			return
		}
		if _, err := e.Message("any", 1, bridge); err != nil {
			t.Errorf("cannot be said: %v", err)
		}
		data, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := outbox.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		more, err := again.Encode()
		if err != nil || !bytes.Equal(data, more) {
			t.Errorf("%s became %s", data, more)
		}
	})
}
