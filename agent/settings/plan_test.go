package settings_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/schemas"
)

func seatOf(n int) schemas.Seat { return schemas.Seat(n) }

func everything() settings.Document {
	return settings.Document{VSS: "6.0", Values: settings.Values{
		seatAt: vehicle.Number(320), heating: vehicle.Number(40), warm: vehicle.Number(19.5), mirror: vehicle.Number(10),
		volume: vehicle.Number(30), glow: vehicle.Bool(true), conditi: vehicle.Bool(true),
	}}
}

const all = "seat climate mirrors light media"

// Each scope covers its branch and nothing else.
func TestScopes(t *testing.T) {
	for scope, want := range map[string][]string{
		"seat": {seatAt, heating}, "climate": {warm, conditi}, "mirrors": {mirror}, "light": {glow}, "media": {volume},
		"openid": nil, "": nil, "seats": nil, "seat light": {glow, seatAt, heating},
	} {
		p, err := settings.NewPlan(everything(), scope, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Values) != len(want) || len(p.Values)+len(p.Skipped) != len(everything().Values) {
			t.Errorf("scope %q: %v, skipped %v", scope, p.Values, p.Skipped)
		}
		for _, path := range want {
			if p.Values[path].IsZero() {
				t.Errorf("scope %q does not cover %s", scope, path)
			}
		}
	}
}

// The driver's paths become the person's.
func TestSeats(t *testing.T) {
	for seat, want := range map[schemas.Seat][]string{
		1: {seatAt, heating, warm, mirror, volume, glow, conditi},
		2: {"Vehicle.Cabin.Seat.Row1.Middle.Position", "Vehicle.Cabin.Seat.Row1.Middle.HeatingCooling"},
		3: {"Vehicle.Cabin.Seat.Row1.PassengerSide.Position", "Vehicle.Cabin.Seat.Row1.PassengerSide.HeatingCooling",
			"Vehicle.Cabin.HVAC.Station.Row1.Passenger.Temperature", "Vehicle.Cabin.Light.AmbientLight.Row1.PassengerSide.IsLightOn"},
		4: {"Vehicle.Cabin.Seat.Row2.DriverSide.Position", "Vehicle.Cabin.Seat.Row2.DriverSide.HeatingCooling",
			"Vehicle.Cabin.HVAC.Station.Row2.Driver.Temperature", "Vehicle.Cabin.Light.AmbientLight.Row2.DriverSide.IsLightOn"},
		12: {"Vehicle.Cabin.HVAC.Station.Row4.Passenger.Temperature"},
	} {
		p, err := settings.NewPlan(everything(), all, seat, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for path := range p.Values {
			got = append(got, path)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("seat %d: %q, want %q", seat, got, want)
		}
	}
	if _, err := settings.NewPlan(everything(), all, 0, nil); err == nil {
		t.Error("a plan for no seat")
	}
}

func TestSkipped(t *testing.T) {
	d := everything()
	d.Values["Vehicle.Cabin.Seat.Row1.PassengerSide.Position"] = vehicle.Number(1)
	d.Values["Vehicle.Cabin.Seat.Row1.DriverSide.Trampoline"] = vehicle.Number(1)
	d.Values["Vehicle.Cabin.Infotainment.HMI.CurrentLanguage"] = vehicle.Text("hu")
	d.Values["Vehicle.Body.Trunk.Rear.IsOpen"] = vehicle.Bool(true)
	p, err := settings.NewPlan(d, all, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	for _, s := range p.Skipped {
		reasons[s.Path] = s.Reason
	}
	for path, want := range map[string]string{
		"Vehicle.Cabin.Seat.Row1.PassengerSide.Position": "somebody else", "Vehicle.Cabin.Seat.Row1.DriverSide.Trampoline": "known",
		"Vehicle.Cabin.Infotainment.HMI.CurrentLanguage": "sensor", "Vehicle.Body.Trunk.Rear.IsOpen": "scopes",
	} {
		if !strings.Contains(reasons[path], want) {
			t.Errorf("%s: skipped because %q, want %q", path, reasons[path], want)
		}
	}
	if len(p.Skipped) != 4 {
		t.Errorf("skipped %v", p.Skipped)
	}
}

// One wrong value, and nothing is set; also where it would not be for this
// seat. What no scope covers is not looked at.
func TestWrongValues(t *testing.T) {
	for path, v := range map[string]vehicle.Value{seatAt: vehicle.Number(501), warm: vehicle.Text("hot"), glow: vehicle.Number(1), volume: vehicle.Number(-1)} {
		d := everything()
		d.Values[path] = v
		for _, seat := range []schemas.Seat{1, 3} {
			p, err := settings.NewPlan(d, all, seat, nil)
			if err == nil || !strings.Contains(err.Error(), path) || p.Values != nil {
				t.Errorf("%s = %v: %v, %v", path, v, p, err)
			}
		}
		if _, err := settings.NewPlan(d, "mirrors", 1, nil); err != nil {
			t.Errorf("%s = %v without a scope for it: %v", path, v, err)
		}
	}
}

// A manufacturer's limits count, for each seat its own.
func TestNarrowed(t *testing.T) {
	narrow, err := vehicle.VSS6().Narrow("Vehicle.Cabin.Seat.Row1.PassengerSide.Position", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := settings.NewPlan(everything(), all, 1, narrow); err != nil {
		t.Error(err)
	}
	if _, err := settings.NewPlan(everything(), all, 3, narrow); err == nil {
		t.Error("beyond the passenger seat's limits")
	}
}
