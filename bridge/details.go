package bridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// A DetailsTemplate makes the authorization_details of sign-ins (RFC 9396
// section 2): a JSON array of objects, in which a text that is nothing but one of
// these is replaced:
//
//	"{device}"  the id of the device, a text
//	"{kind}"    the kind of the device, a text such as "car"
//	"{seat}"    the seat, a number, see schemas.Seat
//	"{scope}"   the scopes that were asked for, an array of texts, without openid
//
// Where there is no seat, the member or the element that names it is left out.
// Names of members are never replaced.
type DetailsTemplate struct{ elements []any }

var placeholder = regexp.MustCompile(`^\{[^{}]*\}$`)

// ParseDetailsTemplate reads a template. It accepts what makes authorization
// details of every sign-in, whatever is replaced.
func ParseDetailsTemplate(text []byte) (*DetailsTemplate, error) {
	if _, err := ciba.ParseAuthorizationDetails(text); err != nil {
		return nil, err
	}
	t := new(DetailsTemplate)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // numbers stay as they are written
	if err := decoder.Decode(&t.elements); err != nil {
		return nil, fmt.Errorf("authorization details: %w", err)
	}
	known := slices.Sorted(maps.Keys(attempt{}.facts()))
	for _, found := range placeholders(t.elements) {
		if !slices.Contains(known, found) {
			return nil, fmt.Errorf("authorization details: found %q, want one of %q", found, known)
		}
	}
	for _, seat := range []schemas.Seat{0, 1} {
		array, err := json.Marshal(t.fill(sampleAttempt(seat)))
		if err == nil {
			_, err = ciba.ParseAuthorizationDetails(array)
		}
		if err != nil {
			return nil, fmt.Errorf("filled in for seat %d: %w", seat, err)
		}
	}
	return t, nil
}

// sampleAttempt is one to try a template with.
func sampleAttempt(seat schemas.Seat) attempt {
	return attempt{
		Start: store.Start{Key: store.Key{Device: schemas.NewDeviceID()}, Details: store.Details{Scope: []string{"seat"}}},
		about: about{Device: schemas.Car.String(), Seat: seat},
	}
}

// placeholders returns all that look like one.
func placeholders(v any) (found []string) {
	switch v := v.(type) {
	case string:
		if placeholder.MatchString(v) {
			found = append(found, v)
		}
	case []any:
		for _, e := range v {
			found = append(found, placeholders(e)...)
		}
	case map[string]any:
		for _, e := range v {
			found = append(found, placeholders(e)...)
		}
	}
	return found
}

// facts are what placeholders stand for; nil for what there is not.
func (a attempt) facts() map[string]any {
	facts := map[string]any{
		"{device}": a.Device,
		"{kind}":   a.about.Device,
		"{seat}":   nil,
		"{scope}":  without(a.Details.Scope, "openid"),
	}
	if a.about.Seat != 0 {
		facts["{seat}"] = a.about.Seat
	}
	return facts
}

// fill returns the details of an attempt.
func (t *DetailsTemplate) fill(a attempt) []json.RawMessage {
	filled, _ := replace(t.elements, a.facts())
	var details []json.RawMessage
	for _, e := range filled.([]any) {
		text, _ := json.Marshal(e) // what was JSON, texts and numbers always encode
		details = append(details, text)
	}
	return details
}

// replace returns a copy of a JSON value with the facts in their places, and
// false if it is to be left out.
func replace(v any, facts map[string]any) (any, bool) {
	switch v := v.(type) {
	case string:
		if fact, ok := facts[v]; ok {
			return fact, fact != nil
		}
	case []any:
		list := make([]any, 0, len(v))
		for _, e := range v {
			if e, ok := replace(e, facts); ok {
				list = append(list, e)
			}
		}
		return list, true
	case map[string]any:
		object := make(map[string]any, len(v))
		for name, e := range v {
			if e, ok := replace(e, facts); ok {
				object[name] = e
			}
		}
		return object, true
	}
	return v, true
}
