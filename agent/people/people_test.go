package people_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/agent/people"
	"github.com/carillon-iot/carillon/schemas"
)

func grant(name string) schemas.Grant {
	return schemas.Grant{Person: schemas.NewHandle(), Name: name}
}

func TestHandleIsReplaced(t *testing.T) {
	var l people.List
	first := grant("Anna")
	p := l.Granted(nil, "anna@example.com", first)
	if p.Number != 1 || p.Name != "Anna" {
		t.Fatalf("%+v", p)
	}
	second := grant("Anna B.")
	if again := l.Granted(&first.Person, "", second); again.Number != 1 || again.Name != "Anna B." {
		t.Errorf("%+v", again)
	}
	if _, ok := l.ByHandle(first.Person); ok {
		t.Error("the old handle is still good")
	}
	if p, ok := l.ByHandle(second.Person); !ok || p.Number != 1 {
		t.Error("the new handle is not known")
	}
	// A grant without a name keeps the one there is.
	third := grant("")
	if p := l.Granted(&second.Person, "", third); p.Name != "Anna B." {
		t.Errorf("%+v", p)
	}
	// The same hint is the same person, letter case aside.
	if p := l.Granted(nil, "Anna@Example.com", grant("Anna")); p.Number != 1 {
		t.Errorf("%+v", p)
	}
	if p := l.Granted(nil, "other@example.com", grant("Anna")); p.Number != 2 {
		t.Errorf("%+v", p)
	}
}

func TestFind(t *testing.T) {
	var l people.List
	l.Granted(nil, "a", grant("Anna"))
	l.Granted(nil, "b", grant("Bela"))
	l.Granted(nil, "c", grant("anna"))
	for who, want := range map[string]int{"1": 1, "3": 3, "Bela": 2, "BELA": 2} {
		if p, err := l.Find(who); err != nil || p.Number != want {
			t.Errorf("%q: %+v, %v", who, p, err)
		}
	}
	for who, want := range map[string]string{"Anna": "2 people", "4": "number 4", "Chidi": "nobody", "": "nobody"} {
		if _, err := l.Find(who); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", who, err, want)
		}
	}
}

// The list is bounded; who was away longest goes, and no number is used twice.
func TestBound(t *testing.T) {
	var l people.List
	handles := map[int]schemas.Handle{}
	for i := range people.Max {
		g := grant("")
		p := l.Granted(nil, fmt.Sprint(i), g)
		handles[p.Number] = g.Person
	}
	g := grant("")
	one := handles[1]
	l.Granted(&one, "", g) // who comes back stays
	if p := l.Granted(nil, "new", grant("")); p.Number != people.Max+1 {
		t.Errorf("number %d", p.Number)
	}
	if len(l.People) != people.Max {
		t.Errorf("%d people", len(l.People))
	}
	if _, ok := l.Number(1); !ok {
		t.Error("who came back is forgotten")
	}
	if _, ok := l.Number(2); ok {
		t.Error("who was away longest is still there")
	}
	l.Forget(g.Person)
	if _, ok := l.Number(1); ok {
		t.Error("not forgotten")
	}
}

// On disk nothing says who somebody is but the display name.
func TestStored(t *testing.T) {
	var l people.List
	g := grant("Anna")
	l.Granted(nil, "anna@example.com", g)
	data, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "example.com") {
		t.Errorf("the hint is stored: %s", data)
	}
	var again people.List
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	if p := again.Granted(nil, "anna@example.com", grant("Anna")); p.Number != 1 {
		t.Errorf("not recognized: %+v", p)
	}
}
