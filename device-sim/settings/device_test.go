package settings_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	device "github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/device-sim/settings"
)

// The device finds in every answer what it can apply, all of it.
func TestTheDeviceTakesTheSamples(t *testing.T) {
	const scope = "openid seat climate mirrors light media"
	r := newRig(t, nil)
	for _, p := range provider.SamplePeople() {
		rec := r.get(r.sign(claims("sub", p.Subject, "scope", scope)))
		document, err := device.Parse(rec.Body.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		plan, err := device.NewPlan(document, scope, 1, nil)
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		if len(plan.Skipped) != 0 || len(plan.Values) != len(settings.Samples()[p.Subject].Settings) || document.Name != p.Name {
			t.Errorf("%s: %d values to apply, skipped %v", document.Name, len(plan.Values), plan.Skipped)
		}
	}
}

// Both sides mean the same by a scope.
func TestTheDeviceKnowsTheScopes(t *testing.T) {
	known := device.Branches()
	for _, s := range provider.SampleScopes() {
		if s.Name == settings.ScopeWrite {
			continue
		}
		var here []string
		for _, b := range settings.Branches(s.Name) {
			here = append(here, b+".")
		}
		if !slices.Equal(here, known[s.Name]) {
			t.Errorf("scope %s opens %s here, %s on the device", s.Name, strings.Join(here, " "), strings.Join(known[s.Name], " "))
		}
		delete(known, s.Name)
	}
	if len(known) != 0 {
		t.Errorf("only the device knows the scopes %q", slices.Collect(maps.Keys(known)))
	}
}
