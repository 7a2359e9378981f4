package vehicle_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/agent/vehicle"
)

const (
	position = "Vehicle.Cabin.Seat.Row1.DriverSide.Position"
	color    = "Vehicle.Cabin.Light.AmbientLight.Row1.DriverSide.Color"
	airflow  = "Vehicle.Cabin.HVAC.Station.Row1.Driver.AirDistribution"
	tilt     = "Vehicle.Body.Mirrors.DriverSide.Tilt"
	lightOn  = "Vehicle.Cabin.Light.AmbientLight.Row2.PassengerSide.IsLightOn"
	uri      = "Vehicle.Cabin.Infotainment.Media.SelectedURI"
)

// The catalog is whole and makes sense: every value that a vehicle begins with
// is right, numbers have bounds, and only what is in a cabin moves.
func TestCatalog(t *testing.T) {
	n, own := 0, 0
	m := vehicle.NewMemory(nil)
	for s := range vehicle.VSS6().All() {
		n++
		if s.Own {
			own++
		}
		if !strings.HasPrefix(s.Path, "Vehicle.") || strings.Contains(s.Path, "{") || strings.Contains(s.Path, "Switch") || strings.Contains(s.Path, "Pan") {
			t.Errorf("path %q", s.Path)
		}
		switch s.Type {
		case vehicle.Boolean, vehicle.String:
			if s.Own || s.Min != 0 || s.Max != 0 {
				t.Errorf("%s has a range", s.Path)
			}
		default:
			if s.Min >= s.Max || s.Allowed != nil {
				t.Errorf("%s ranges from %v to %v", s.Path, s.Min, s.Max)
			}
		}
		inSeat := strings.Contains(s.Path, ".Seat.") || strings.Contains(s.Path, ".Mirrors.")
		if s.Moves && !inSeat {
			t.Errorf("%s moves", s.Path)
		}
		if v, err := m.Get(t.Context(), s.Path); err == nil && s.Actuator {
			if err := s.Check(v); err != nil {
				t.Errorf("rests on a wrong value: %v", err)
			}
		}
	}
	if n < 200 || own < 30 {
		t.Errorf("%d signals, %d with own limits", n, own)
	}
	for path, moves := range map[string]bool{position: true, tilt: true, "Vehicle.Cabin.Seat.Row1.DriverSide.HeatingCooling": false, airflow: false} {
		if s, ok := vehicle.VSS6().Signal(path); !ok || s.Moves != moves {
			t.Errorf("%s: moves is %v", path, s.Moves)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, x := range []struct {
		path string
		v    vehicle.Value
		ok   bool
	}{
		{position, vehicle.Number(0), true}, {position, vehicle.Number(500), true}, {position, vehicle.Number(501), false},
		{position, vehicle.Number(-1), false}, {position, vehicle.Number(1.5), false}, {position, vehicle.Text("1"), false}, {position, vehicle.Bool(true), false},
		{position, vehicle.Value{}, false},
		{tilt, vehicle.Number(-100), true}, {tilt, vehicle.Number(-101), false},
		{color, vehicle.Text("#c0FFee"), true}, {color, vehicle.Text("#c0FFe"), false}, {color, vehicle.Text("c0FFee0"), false}, {color, vehicle.Text("#g0FFee"), false},
		{airflow, vehicle.Text("UP"), true}, {airflow, vehicle.Text("up"), false}, {airflow, vehicle.Number(1), false},
		{lightOn, vehicle.Bool(true), true}, {lightOn, vehicle.Number(1), false},
		{uri, vehicle.Text("https://example.com/ä"), true}, {uri, vehicle.Text(`a"b`), false}, {uri, vehicle.Text(`a\b`), false},
		{uri, vehicle.Text("a\nb"), false}, {uri, vehicle.Text("\xff"), false}, {uri, vehicle.Text(strings.Repeat("a", 513)), false},
		{vehicle.PathSpeed, vehicle.Number(1), false}, // a sensor
	} {
		s, ok := vehicle.VSS6().Signal(x.path)
		if !ok {
			t.Fatalf("no %s", x.path)
		}
		if err := s.Check(x.v); (err == nil) != x.ok {
			t.Errorf("%s = %v: %v", x.path, x.v, err)
		}
	}
}

func TestNarrow(t *testing.T) {
	narrow, err := vehicle.VSS6().Narrow(position, 10, 250)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := narrow.Signal(position)
	if s.Check(vehicle.Number(251)) == nil || s.Check(vehicle.Number(250)) != nil {
		t.Errorf("%+v", s)
	}
	if s, _ := vehicle.VSS6().Signal(position); s.Max != 500 {
		t.Error("the catalog itself has changed")
	}
	for name, f := range map[string]func() (*vehicle.Catalog, error){
		"wider":    func() (*vehicle.Catalog, error) { return narrow.Narrow(position, 0, 250) },
		"empty":    func() (*vehicle.Catalog, error) { return narrow.Narrow(position, 20, 15) },
		"unknown":  func() (*vehicle.Catalog, error) { return narrow.Narrow("Vehicle.Nope", 0, 1) },
		"no range": func() (*vehicle.Catalog, error) { return narrow.Narrow(lightOn, 0, 1) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestMemory(t *testing.T) {
	m := vehicle.NewMemory(nil)
	ctx, cancel := context.WithCancel(t.Context())
	changes := m.Watch(ctx)
	if err := m.Set(ctx, position, vehicle.Number(200)); err != nil {
		t.Fatal(err)
	}
	if c := <-changes; c.Path != position || c.Old != vehicle.Number(150) || c.New != vehicle.Number(200) {
		t.Errorf("change %+v", c)
	}
	if err := m.Set(ctx, position, vehicle.Number(200)); err != nil { // no change
		t.Fatal(err)
	}
	if err := m.Drive(30); err != nil {
		t.Fatal(err)
	}
	if c := <-changes; c.Path != vehicle.PathSpeed {
		t.Errorf("change %+v", c)
	}
	if v, err := m.Get(ctx, vehicle.PathIsMoving); err != nil || v != vehicle.Bool(true) {
		t.Errorf("moving: %v, %v", v, err)
	}
	for _, path := range []string{"Vehicle.Nope", "Vehicle.Cabin.Seat.Row1.Middle.Position"} {
		if _, err := m.Get(ctx, path); !errors.Is(err, vehicle.ErrNoSignal) {
			t.Errorf("%s: %v", path, err)
		}
		if err := m.Set(ctx, path, vehicle.Number(1)); !errors.Is(err, vehicle.ErrNoSignal) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := m.Set(ctx, position, vehicle.Number(9999)); err == nil {
		t.Error("out of range is taken")
	}
	if err := m.Set(ctx, vehicle.PathSpeed, vehicle.Number(1)); err == nil {
		t.Error("a sensor is set")
	}
	cancel()
	for range changes {
	}
}

func TestValueJSON(t *testing.T) {
	for text, want := range map[string]vehicle.Value{"true": vehicle.Bool(true), "21.5": vehicle.Number(21.5), `"UP"`: vehicle.Text("UP"), "null": {}} {
		var v vehicle.Value
		if err := json.Unmarshal([]byte(text), &v); err != nil || v != want {
			t.Errorf("%s: %v, %v", text, v, err)
		}
		if out, err := json.Marshal(v); err != nil || string(out) != text {
			t.Errorf("%s became %s, %v", text, out, err)
		}
	}
	for _, bad := range []string{"{}", "[1]", `{"a":1}`} {
		var v vehicle.Value
		if err := json.Unmarshal([]byte(bad), &v); err == nil {
			t.Errorf("%s is %v", bad, v)
		}
	}
}
