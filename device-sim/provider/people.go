package provider

import (
	"fmt"
	"strings"
)

// Person is somebody who can be signed in.
type Person struct {
	// Subject names the person in every token (sub): 1 to 64 printable ASCII
	// characters without blank, stable, and telling nothing about the person.
	Subject string
	// Name is shown on screens.
	Name string
	// Email is the usual login_hint, compared without regard to case.
	Email string
	// Phone is the number in E.164 form, or empty.
	Phone string
}

// SamplePeople returns Anna, Bela and Chidi. Package settings holds settings
// for the same subjects.
func SamplePeople() []Person {
	return []Person{
		{Subject: "u-5kq2m7xd", Name: "Anna", Email: "anna@example.com", Phone: "+4915550000001"},
		{Subject: "u-8vt4c1np", Name: "Bela", Email: "bela@example.com", Phone: "+3615550000002"},
		{Subject: "u-3hz9r6wa", Name: "Chidi", Email: "chidi@example.com", Phone: "+2348155500003"},
	}
}

// Scope is a permission that a client can ask for.
type Scope struct {
	// Name as it stands in the scope parameter (RFC 6749 section 3.3).
	Name string
	// Title is what the phone shows. Empty shows the name.
	Title string
}

// SampleScopes returns the scopes of the settings API.
func SampleScopes() []Scope {
	return []Scope{
		{Name: "seat", Title: "Seat position and comfort"},
		{Name: "climate", Title: "Air and temperature"},
		{Name: "mirrors", Title: "Mirrors"},
		{Name: "light", Title: "Ambient light"},
		{Name: "media", Title: "Media and display"},
		{Name: "settings:write", Title: "Save changes"},
	}
}

// directory finds people by hint. It does not change after New.
type directory struct {
	bySubject map[string]Person
	byEmail   map[string]Person // lower case
	order     []Person
}

func newDirectory(people []Person) (directory, error) {
	d := directory{bySubject: map[string]Person{}, byEmail: map[string]Person{}, order: people}
	for i, person := range people {
		if err := checkHint(person.Subject); err != nil || len(person.Subject) > 64 {
			return d, fmt.Errorf("people[%d]: subject %q is not 1 to 64 printable ASCII characters without blank", i, person.Subject)
		}
		if err := checkHint(person.Email); err != nil || !strings.Contains(person.Email, "@") {
			return d, fmt.Errorf("people[%d]: email %q is not an address", i, person.Email)
		}
		email := strings.ToLower(person.Email)
		if _, dup := d.bySubject[person.Subject]; dup {
			return d, fmt.Errorf("people[%d]: subject %q is taken", i, person.Subject)
		}
		if _, dup := d.byEmail[email]; dup {
			return d, fmt.Errorf("people[%d]: email %q is taken", i, person.Email)
		}
		d.bySubject[person.Subject], d.byEmail[email] = person, person
	}
	return d, nil
}

// find resolves a login_hint: a subject, or an e-mail address in any case.
func (d directory) find(hint string) (Person, bool) {
	if person, ok := d.bySubject[hint]; ok {
		return person, true
	}
	person, ok := d.byEmail[strings.ToLower(hint)]
	return person, ok
}

// checkHint bounds what a hint may look like before anything is looked up.
func checkHint(hint string) error {
	if hint == "" || len(hint) > 254 {
		return fmt.Errorf("login_hint has %d bytes, 1 to 254 are allowed", len(hint))
	}
	for _, r := range hint {
		if r <= ' ' || r > '~' {
			return fmt.Errorf("login_hint holds a character other than printable ASCII")
		}
	}
	return nil
}

// People returns everybody in the directory, in the order of Config.People.
func (p *Provider) People() []Person { return append([]Person(nil), p.people.order...) }

// Person finds somebody as a login_hint would: by subject or e-mail address.
func (p *Provider) Person(hint string) (Person, bool) { return p.people.find(hint) }
