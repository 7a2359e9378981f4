package settings_test

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/device-sim/settings"
)

// leaf is what VSS 6.0 says of an actuator, with bounds of our own where VSS
// has none (marked) that every car of today meets.
type leaf struct {
	whole    bool // an integer type
	min, max float64
	allowed  []string // a text type
	boolean  bool
}

const seat = "Vehicle.Cabin.Seat.Row1.DriverSide."

// vss6 holds the actuators that the samples use.
var vss6 = map[string]leaf{
	seat + "Position":               {whole: true, max: 500}, // VSS: no max
	seat + "Height":                 {whole: true, max: 200}, // VSS: no max
	seat + "Tilt":                   {min: -15, max: 15},     // VSS: no bounds
	seat + "HeatingCooling":         {whole: true, min: -100, max: 100},
	seat + "Backrest.Recline":       {min: 0, max: 60}, // VSS: no bounds
	seat + "Backrest.LumbarSupport": {max: 100},
	seat + "Headrest.Height":        {whole: true, max: 150}, // VSS: no max
	"Vehicle.Cabin.HVAC.Station.Row1.Driver.Temperature":         {min: 15, max: 30}, // VSS: no bounds
	"Vehicle.Cabin.HVAC.Station.Row1.Driver.FanSpeed":            {whole: true, max: 100},
	"Vehicle.Cabin.HVAC.Station.Row1.Driver.AirDistribution":     {allowed: []string{"UP", "MIDDLE", "DOWN"}},
	"Vehicle.Cabin.HVAC.IsAirConditioningActive":                 {boolean: true},
	"Vehicle.Body.Mirrors.DriverSide.Tilt":                       {whole: true, min: -100, max: 100},
	"Vehicle.Body.Mirrors.DriverSide.Yaw":                        {whole: true, min: -100, max: 100},
	"Vehicle.Body.Mirrors.PassengerSide.Tilt":                    {whole: true, min: -100, max: 100},
	"Vehicle.Body.Mirrors.PassengerSide.Yaw":                     {whole: true, min: -100, max: 100},
	"Vehicle.Cabin.Light.AmbientLight.Row1.DriverSide.IsLightOn": {boolean: true},
	"Vehicle.Cabin.Light.AmbientLight.Row1.DriverSide.Intensity": {whole: true, min: 1, max: 100},
	"Vehicle.Cabin.Light.AmbientLight.Row1.DriverSide.Color":     {allowed: []string{"#2E7D32", "#FFFFFF", "#6A1B9A"}}, // VSS: any #RRGGBB
	"Vehicle.Cabin.Infotainment.Media.Volume":                    {whole: true, max: 100},
	"Vehicle.Cabin.Infotainment.HMI.Brightness":                  {max: 100},
	"Vehicle.Cabin.Infotainment.HMI.DistanceUnit":                {allowed: []string{"MILES", "KILOMETERS"}},
	"Vehicle.Cabin.Infotainment.HMI.TemperatureUnit":             {allowed: []string{"C", "F"}},
	"Vehicle.Cabin.Infotainment.HMI.TimeFormat":                  {allowed: []string{"HR_12", "HR_24"}},
}

func (l leaf) takes(value any) bool {
	switch v := value.(type) {
	case bool:
		return l.boolean
	case string:
		return slices.Contains(l.allowed, v)
	case float64:
		return !l.boolean && l.allowed == nil && v >= l.min && v <= l.max && (!l.whole || v == math.Trunc(v))
	}
	return false
}

// Each sample person has settings of every kind, valid in VSS 6, and no two
// have the same seat.
func TestSamples(t *testing.T) {
	samples := settings.Samples()
	if len(samples) != len(provider.SamplePeople()) {
		t.Errorf("%d profiles for %d people", len(samples), len(provider.SamplePeople()))
	}
	positions := map[any]string{}
	for _, p := range provider.SamplePeople() {
		profile, ok := samples[p.Subject]
		if !ok || profile.Name != p.Name {
			t.Errorf("%s has the profile of %q", p.Name, profile.Name)
		}
		for path, value := range profile.Settings {
			if l, ok := vss6[path]; !ok || !l.takes(value) {
				t.Errorf("%s: %s: %v is not valid", p.Name, path, value)
			}
		}
		if missing := len(vss6) - len(profile.Settings); missing != 0 {
			t.Errorf("%s has %d paths of %d", p.Name, len(profile.Settings), len(vss6))
		}
		if other, dup := positions[profile.Settings[seat+"Position"]]; dup {
			t.Errorf("%s and %s sit alike", p.Name, other)
		}
		positions[profile.Settings[seat+"Position"]] = p.Name
	}
}

// Every scope of the samples opens something, and every sample path is opened
// by exactly one scope.
func TestScopesCoverTheSamples(t *testing.T) {
	var scopes []string
	for _, s := range provider.SampleScopes() {
		if s.Name != settings.ScopeWrite {
			scopes = append(scopes, s.Name)
		}
	}
	for path := range maps.Keys(vss6) {
		var opening []string
		for _, s := range scopes {
			for _, b := range settings.Branches(s) {
				if strings.HasPrefix(path, b+".") {
					opening = append(opening, s)
				}
			}
		}
		if len(opening) != 1 {
			t.Errorf("%s is opened by %q", path, opening)
		}
	}
	if settings.Branches("openid") != nil {
		t.Error("openid opens a branch")
	}
}
