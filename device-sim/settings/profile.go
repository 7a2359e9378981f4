package settings

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Version of the Vehicle Signal Specification whose paths and units are used.
const Version = "6.0"

// Bounds of a profile; docs/settings-api.md promises them to devices.
const (
	maxSettings = 256      // paths of one person
	maxProfile  = 64 << 10 // bytes of all of them as a document
	maxPath     = 160      // bytes of a path
	maxName     = 64       // bytes of a name
	maxText     = 256      // bytes of a text value
)

// Profile is what is stored of one person.
type Profile struct {
	// Name is shown on the vehicle's screen.
	Name string `json:"name"`
	// Settings are values by VSS path: numbers, booleans and texts, in the
	// units of VSS.
	Settings map[string]any `json:"settings"`
}

//go:embed people.json
var samples string

// Samples returns the profiles of the sample people of package provider, by
// subject.
func Samples() map[string]Profile {
	var out map[string]Profile
	if err := json.Unmarshal([]byte(samples), &out); err != nil {
		panic("settings: people.json: " + err.Error()) // it is compiled in, and tested
	}
	return out
}

// Branches says which VSS branches a scope opens. A scope that is not here
// opens nothing.
func Branches(scope string) []string {
	switch scope {
	case "seat":
		return []string{"Vehicle.Cabin.Seat"}
	case "climate":
		return []string{"Vehicle.Cabin.HVAC"}
	case "mirrors":
		return []string{"Vehicle.Body.Mirrors", "Vehicle.Cabin.RearviewMirror"}
	case "light":
		return []string{"Vehicle.Cabin.Light.AmbientLight"}
	case "media":
		return []string{"Vehicle.Cabin.Infotainment"}
	}
	return nil
}

// ScopeWrite allows changes to what the other scopes of the token open.
const ScopeWrite = "settings:write"

// readScopes are the scopes that open a branch.
const readScopes = "seat climate mirrors light media"

// opened returns the branches that scopes open together.
func opened(scopes []string) []string {
	var out []string
	for _, s := range scopes {
		out = append(out, Branches(s)...)
	}
	return out
}

// within reports whether a path lies in one of the branches.
func within(path string, branches []string) bool {
	return slices.ContainsFunc(branches, func(b string) bool { return strings.HasPrefix(path, b+".") })
}

// profiles holds everybody's settings in memory.
type profiles struct {
	mu        sync.RWMutex
	bySubject map[string]Profile // maps inside are replaced, never changed
}

func newProfiles(in map[string]Profile) (*profiles, error) {
	for subject, profile := range in {
		if err := profile.check(); err != nil {
			return nil, fmt.Errorf("profile %q: %w", subject, err)
		}
	}
	return &profiles{bySubject: maps.Clone(in)}, nil
}

// get returns a person's profile cut down to branches.
func (p *profiles) get(subject string, branches []string) (Profile, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	profile, ok := p.bySubject[subject]
	return Profile{Name: profile.Name, Settings: cut(profile.Settings, branches)}, ok
}

func cut(settings map[string]any, branches []string) map[string]any {
	out := map[string]any{}
	for path, value := range settings {
		if within(path, branches) {
			out[path] = value
		}
	}
	return out
}

// change applies a patch, all of it or nothing: a nil value removes a path. The
// check sees the profile, cut down to branches, before the change.
func (p *profiles) change(subject string, branches []string, patch map[string]any, check func(Profile) error) (Profile, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	profile, ok := p.bySubject[subject]
	if !ok {
		return Profile{}, errNobody
	}
	if err := check(Profile{profile.Name, cut(profile.Settings, branches)}); err != nil {
		return Profile{}, err
	}
	next := maps.Clone(profile.Settings)
	maps.Copy(next, patch)
	maps.DeleteFunc(next, func(_ string, value any) bool { return value == nil })
	profile.Settings = next
	if err := profile.check(); err != nil {
		return Profile{}, &problem{http.StatusUnprocessableEntity, err.Error()}
	}
	p.bySubject[subject] = profile
	return Profile{profile.Name, cut(next, branches)}, nil
}

// errNobody: the token is good, but its subject has no settings here.
var errNobody = &problem{http.StatusNotFound, "no settings are stored for this person"}

func (p Profile) check() error {
	if p.Name == "" || len(p.Name) > maxName {
		return fmt.Errorf("name has %d bytes, 1 to %d are allowed", len(p.Name), maxName)
	}
	if len(p.Settings) > maxSettings {
		return fmt.Errorf("%d paths, at most %d are kept", len(p.Settings), maxSettings)
	}
	for path, value := range p.Settings {
		if err := checkPath(path); err != nil {
			return err
		}
		if err := checkValue(value); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if body, _ := encode(p); len(body) > maxProfile {
		return fmt.Errorf("%d bytes of settings, at most %d are kept", len(body), maxProfile)
	}
	return nil
}

// checkPath wants a VSS path of names that start with an upper-case letter.
func checkPath(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("path has %d bytes, at most %d are allowed", len(path), maxPath)
	}
	names := strings.Split(path, ".")
	for _, name := range names {
		alnum := strings.IndexFunc(name, func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) < 0
		if name == "" || !alnum || name[0] < 'A' || name[0] > 'Z' {
			return fmt.Errorf("path %q is not a VSS path", path)
		}
	}
	return nil
}

func checkValue(value any) error {
	switch v := value.(type) {
	case bool:
		return nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return errors.New("number is not finite")
		}
		return nil
	case string:
		if len(v) > maxText || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("text is not a line of at most %d bytes", maxText)
		}
		return nil
	}
	return fmt.Errorf("value of type %T is neither number, boolean nor text", value)
}
