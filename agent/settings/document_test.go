package settings_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/agent/vehicle"
)

const (
	seatAt  = "Vehicle.Cabin.Seat.Row1.DriverSide.Position"
	heating = "Vehicle.Cabin.Seat.Row1.DriverSide.HeatingCooling"
	warm    = "Vehicle.Cabin.HVAC.Station.Row1.Driver.Temperature"
	mirror  = "Vehicle.Body.Mirrors.PassengerSide.Tilt"
	volume  = "Vehicle.Cabin.Infotainment.Media.Volume"
	glow    = "Vehicle.Cabin.Light.AmbientLight.Row1.DriverSide.IsLightOn"
	conditi = "Vehicle.Cabin.HVAC.IsAirConditioningActive"
)

func TestParse(t *testing.T) {
	d, err := settings.Parse([]byte(`{"vss":"6.0","person":{"name":"Anna","age":7},"later":[1,{"a":2}],
		"settings":{"` + seatAt + `":320,"` + warm + `":19.5,"` + glow + `":true,"x":"UP"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := settings.Values{seatAt: vehicle.Number(320), warm: vehicle.Number(19.5), glow: vehicle.Bool(true), "x": vehicle.Text("UP")}
	if d.VSS != "6.0" || d.Name != "Anna" || !maps.Equal(d.Values, want) {
		t.Errorf("%+v", d)
	}
	if d, err := settings.Parse([]byte(`{"vss":"6.1","settings":{}}`)); err != nil || len(d.Values) != 0 {
		t.Errorf("nothing to set: %+v, %v", d, err)
	}
}

func TestParseRefuses(t *testing.T) {
	many := "{"
	for i := range settings.MaxPaths + 1 {
		many += fmt.Sprintf(`"p%d":1,`, i)
	}
	many = strings.TrimSuffix(many, ",") + "}"
	for _, x := range []struct{ name, doc, want string }{
		{"nothing", ``, "JSON"}, {"no JSON", `<html>`, "invalid"}, {"an array", `[]`, "array"},
		{"version 5", `{"vss":"5.0","settings":{}}`, "version 6"}, {"version 60", `{"vss":"60","settings":{}}`, "version 6"}, {"no version", `{"settings":{}}`, "version 6"},
		{"no settings", `{"vss":"6.0"}`, "no member"}, {"settings null", `{"vss":"6.0","settings":null}`, "object"}, {"settings a list", `{"vss":"6.0","settings":[1]}`, "object"},
		{"twice", `{"vss":"6.0","settings":{"a":1,"a":2}}`, "twice"}, {"null value", `{"vss":"6.0","settings":{"a":null}}`, "no value"},
		{"object value", `{"vss":"6.0","settings":{"a":{"b":1}}}`, "object or array"}, {"empty path", `{"vss":"6.0","settings":{"":1}}`, "0 bytes"},
		{"long path", `{"vss":"6.0","settings":{"` + strings.Repeat("a", 161) + `":1}}`, "161 bytes"},
		{"too many", `{"vss":"6.0","settings":` + many + `}`, "256"}, {"long name", `{"vss":"6.0","person":{"name":"` + strings.Repeat("a", 65) + `"},"settings":{}}`, "65 bytes"},
		{"too large", `{"vss":"6.0","settings":{}}` + strings.Repeat(" ", settings.MaxBytes), "limit"}, {"trailing", `{"vss":"6.0","settings":{}}x`, "invalid"},
	} {
		if d, err := settings.Parse([]byte(x.doc)); err == nil || !strings.Contains(err.Error(), x.want) || d.Values != nil {
			t.Errorf("%s: %+v, %v; want %q", x.name, d, err, x.want)
		}
	}
}

// What is accepted is bounded and can be written down and read again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"vss":"6.0","person":{"name":"Anna"},"settings":{"` + seatAt + `":320}}`, `{"vss":"6.0","settings":{"a":1,"a":2}}`,
		`{"vss":"6.0","settings":{"a":1e400}}`, `{"vss":"6.0","settings":{"a":"\ud800"}}`, `{"vss":"6","settings":{"a":-0.0}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := settings.Parse(data)
		if err != nil {
			if d.Values != nil || d.Name != "" {
				t.Errorf("%+v comes with %v", d, err)
			}
			return
		}
		if len(d.Values) > settings.MaxPaths || len(d.Name) > 64 {
			t.Errorf("%d paths, name of %d bytes", len(d.Values), len(d.Name))
		}
		text, err := json.Marshal(d.Values)
		if err != nil {
			t.Fatal(err)
		}
		again, err := settings.ParseValues(text)
		if err != nil || !maps.Equal(again, d.Values) {
			t.Errorf("%s became %v, %v", text, again, err)
		}
		if _, err := settings.NewPlan(d, "seat climate mirrors light media", 1, nil); err != nil {
			return
		}
		for seat := range 12 {
			if _, err := settings.NewPlan(d, "seat climate mirrors light media", 1+seatOf(seat), nil); err != nil {
				t.Errorf("good for seat 1 and not for seat %d: %v", seat+1, err)
			}
		}
	})
}
