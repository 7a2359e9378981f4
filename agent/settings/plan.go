package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/schemas"
)

// Branches says which scope covers which branches of VSS. Scopes that are not
// named cover none.
func Branches() map[string][]string {
	return map[string][]string{
		"seat":    {"Vehicle.Cabin.Seat."},
		"climate": {"Vehicle.Cabin.HVAC."},
		"mirrors": {"Vehicle.Body.Mirrors.", "Vehicle.Cabin.RearviewMirror."},
		"light":   {"Vehicle.Cabin.Light.AmbientLight."},
		"media":   {"Vehicle.Cabin.Infotainment."},
	}
}

// A Skip is a setting that was left out, and why.
type Skip struct {
	Path   string `json:"path"` // as it stands in the document
	Reason string `json:"reason"`
}

// A Plan is what a seat is to be set to. The zero Plan sets nothing: what was
// there before comes back.
type Plan struct {
	Values  Values // by path, translated to the seat
	Skipped []Skip
}

// NewPlan decides what of a document is applied to a seat of a vehicle, where
// the token was granted scopes. A nil catalog means vehicle.VSS6.
//
// A value outside its signal's type, range or allowed values is an error, and
// then nothing is applied: a document that is wrong in one place is not
// trusted in another. What is not covered, not known, not for this seat or
// cannot be set is skipped.
func NewPlan(d Document, scope string, seat schemas.Seat, catalog *vehicle.Catalog) (Plan, error) {
	if catalog == nil {
		catalog = vehicle.VSS6()
	}
	if seat == 0 {
		return Plan{}, fmt.Errorf("settings are for a seat, and there is none")
	}
	granted := prefixes(scope)
	p := Plan{Values: Values{}}
	for _, path := range slices.Sorted(maps.Keys(d.Values)) {
		if !covered(path, granted) {
			p.skip(path, "not covered by the granted scopes")
			continue
		}
		if err := p.add(path, d.Values[path], seat, catalog); err != nil {
			return Plan{}, fmt.Errorf("settings: %w", err)
		}
	}
	return p, nil
}

// add takes one setting into the plan, or skips it. What is not for this seat
// must be right all the same.
func (p *Plan) add(path string, v vehicle.Value, seat schemas.Seat, catalog *vehicle.Catalog) error {
	signal, ok := catalog.Signal(path)
	switch {
	case !ok:
		p.skip(path, "not a setting that is known")
		return nil
	case !signal.Actuator:
		p.skip(path, "a sensor cannot be set")
		return nil
	}
	if err := signal.Check(v); err != nil {
		return err
	}
	to, reason := toSeat(path, seat)
	if reason != "" {
		p.skip(path, reason)
		return nil
	}
	signal, ok = catalog.Signal(to)
	if !ok {
		p.skip(path, "there is none at this seat")
		return nil
	}
	if err := signal.Check(v); err != nil { // this seat's limits may be narrower
		return err
	}
	p.Values[to] = v
	return nil
}

func (p *Plan) skip(path, reason string) { p.Skipped = append(p.Skipped, Skip{path, reason}) }

func prefixes(scope string) (all []string) {
	branches := Branches()
	for s := range strings.FieldsSeq(scope) {
		all = append(all, branches[s]...)
	}
	return all
}

func covered(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(path, p) })
}
