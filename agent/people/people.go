// Package people is the list of those who were signed in on a device and can
// be named again: by a local number, by name, without any address.
//
// What names a person to the bridge is a handle that each grant replaces. The
// list never says who somebody is beyond the display name that the grant
// carried.
package people

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/carillon-iot/carillon/agent/outbox"
	"github.com/carillon-iot/carillon/schemas"
)

// Max is how many people a list holds. One more, and the one who was away
// longest is forgotten.
const Max = 64

// A Person is one entry.
type Person struct {
	Number int          `json:"number"` // from 1, never used again while the list lives
	Name   string       `json:"name,omitempty"`
	Handle outbox.HexID `json:"handle"`
	Hint   []byte       `json:"hint,omitempty"` // keyed digest of the hint that the person was last named by
	Turn   int          `json:"turn"`           // of the last grant: greater is later
}

// List is a list of people. The zero value is empty. It is not safe for
// concurrent use.
type List struct {
	People []Person `json:"people,omitempty"` // by number
	Next   int      `json:"next,omitempty"`   // the last number given out
	Turns  int      `json:"turns,omitempty"`
	Salt   []byte   `json:"salt,omitempty"` // key of the digests, made once
}

// Find returns the person with that number, or with that name, letter case
// aside, if exactly one bears it.
func (l *List) Find(who string) (Person, error) {
	if n, err := strconv.Atoi(who); err == nil {
		if p, ok := l.Number(n); ok {
			return p, nil
		}
		return Person{}, fmt.Errorf("nobody here has the number %d", n)
	}
	var found []Person
	for _, p := range l.People {
		if strings.EqualFold(p.Name, who) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return Person{}, fmt.Errorf("nobody here is called %.64q", who)
	case 1:
		return found[0], nil
	}
	return Person{}, fmt.Errorf("%d people here are called %.64q: use the number", len(found), who)
}

// Number returns the person with that number.
func (l *List) Number(n int) (Person, bool) {
	i := slices.IndexFunc(l.People, func(p Person) bool { return p.Number == n })
	if i < 0 {
		return Person{}, false
	}
	return l.People[i], true
}

// ByHandle returns the person with that handle.
func (l *List) ByHandle(h schemas.Handle) (Person, bool) {
	i := slices.IndexFunc(l.People, func(p Person) bool { return schemas.Handle(p.Handle) == h })
	if i < 0 {
		return Person{}, false
	}
	return l.People[i], true
}

// Granted records a grant and returns the person it is about: the one who was
// named by the handle before, or by the same hint as the last time, or somebody
// new. Before is nil, or hint empty, where the sign-in did not use it.
func (l *List) Granted(before *schemas.Handle, hint string, g schemas.Grant) Person {
	i := -1
	if before != nil {
		i = slices.IndexFunc(l.People, func(p Person) bool { return schemas.Handle(p.Handle) == *before })
	}
	digest := l.digest(hint)
	if i < 0 && digest != nil {
		i = slices.IndexFunc(l.People, func(p Person) bool { return hmac.Equal(p.Hint, digest) })
	}
	if i < 0 {
		l.makeRoom()
		l.Next++
		l.People = append(l.People, Person{Number: l.Next})
		i = len(l.People) - 1
	}
	l.Turns++
	p := &l.People[i]
	p.Handle, p.Turn = outbox.HexID(g.Person), l.Turns
	if g.Name != "" {
		p.Name = g.Name
	}
	if digest != nil {
		p.Hint = digest
	}
	return *p
}

// Forget removes whoever has the handle: the bridge does not know it any more.
func (l *List) Forget(h schemas.Handle) {
	l.People = slices.DeleteFunc(l.People, func(p Person) bool { return schemas.Handle(p.Handle) == h })
}

func (l *List) makeRoom() {
	if len(l.People) < Max {
		return
	}
	oldest := 0
	for i, p := range l.People {
		if p.Turn < l.People[oldest].Turn {
			oldest = i
		}
	}
	l.People = slices.Delete(l.People, oldest, oldest+1)
}

// digest lets the same hint be recognized without keeping it.
func (l *List) digest(hint string) []byte {
	if hint == "" {
		return nil
	}
	if l.Salt == nil {
		l.Salt = make([]byte, 16)
		rand.Read(l.Salt)
	}
	mac := hmac.New(sha256.New, l.Salt)
	mac.Write([]byte(strings.ToLower(hint)))
	return mac.Sum(nil)[:16]
}
