// Package settings brings a person's settings into a vehicle and out again.
//
// A [Client] fetches a [Document] with the person's token: VSS paths and
// values, written for the driver's seat. [NewPlan] decides what of it is
// applied: what the granted scopes cover, for the seat where the person sits,
// within the limits of the catalog. A [Cabin] applies a plan all or nothing
// and remembers on disk what was there before, so that it comes back when the
// person leaves, whatever happens in between.
//
// # Scopes
//
// The scopes seat, climate, mirrors, light and media each cover one branch of
// VSS; see [Branches]. A path outside the granted branches is skipped.
//
// # Seats
//
// A document speaks of the driver's place. For a person on another seat the
// paths of the place are translated (Row1.DriverSide becomes
// Row2.PassengerSide), and what belongs to the driver or to the whole vehicle
// (mirrors, display, media, the air conditioning's switch) is skipped. Paths
// of anybody else's place are always skipped: a person sets their own.
//
// # Movement
//
// What moves a seat or a mirror is held back while the vehicle moves, or while
// it cannot be said whether it does, and is applied when it stands. All the
// rest is applied at once.
package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/carillon-iot/carillon/agent/vehicle"
)

// Bounds of a document.
const (
	MaxBytes = 64 << 10 // of the JSON text
	MaxPaths = 256      // of settings
	maxPath  = 160      // bytes of one path; the longest of VSS 6.0 has 105
	maxName  = 64       // bytes of a name
)

// Values are settings by VSS path.
type Values map[string]vehicle.Value

// A Document is what the settings API answers:
//
//	{"vss":"6.0","person":{"name":"Anna"},"settings":{"Vehicle.…":21.5, …}}
type Document struct {
	VSS    string // the version of VSS that the paths are from; "6.0" or a later 6
	Name   string // to greet with, or ""
	Values Values
}

// Parse reads a document strictly as far as it is understood: members it does
// not know are skipped, a path that occurs twice is an error.
func Parse(data []byte) (Document, error) {
	if len(data) > MaxBytes {
		return Document{}, fmt.Errorf("settings: %d bytes, limit %d", len(data), MaxBytes)
	}
	var raw struct {
		VSS    string `json:"vss"`
		Person struct {
			Name string `json:"name"`
		} `json:"person"`
		Settings json.RawMessage `json:"settings"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return Document{}, fmt.Errorf("settings: %w", err)
	}
	if raw.VSS != "6" && !strings.HasPrefix(raw.VSS, "6.") {
		return Document{}, fmt.Errorf("settings: vss is %.20q, want version 6", raw.VSS)
	}
	if len(raw.Person.Name) > maxName {
		return Document{}, fmt.Errorf("settings: person.name has %d bytes, limit %d", len(raw.Person.Name), maxName)
	}
	if raw.Settings == nil {
		return Document{}, errors.New("settings: no member \"settings\"")
	}
	values, err := ParseValues(raw.Settings)
	if err != nil {
		return Document{}, fmt.Errorf("settings: %w", err)
	}
	return Document{VSS: raw.VSS, Name: raw.Person.Name, Values: values}, nil
}

// ParseValues reads a JSON object of paths and values, the form of the member
// "settings".
func ParseValues(data []byte) (Values, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("want a JSON object of paths and values")
	}
	values := Values{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		path, _ := t.(string) // a key is always a string
		var v vehicle.Value
		if err := dec.Decode(&v); err != nil {
			return nil, fmt.Errorf("%.160q: %w", path, err)
		}
		if err := values.add(path, v); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object of paths and values")
	}
	return values, nil
}

func (v Values) add(path string, value vehicle.Value) error {
	if path == "" || len(path) > maxPath {
		return fmt.Errorf("path %.40q has %d bytes, want 1 to %d", path, len(path), maxPath)
	}
	if _, dup := v[path]; dup {
		return fmt.Errorf("path %q occurs twice", path)
	}
	if value.IsZero() {
		return fmt.Errorf("path %q has no value", path)
	}
	if len(v) >= MaxPaths {
		return fmt.Errorf("more than %d paths", MaxPaths)
	}
	v[path] = value
	return nil
}
